-- The cheapest offers that fit: each server once, where it costs least; of two at one price the larger first.
-- The servers first, then where they cost that: sorting whole rows of all that fits takes longer.
WITH least AS (
    SELECT id, min(price_hourly) AS price_hourly
    FROM judged(
        $cpu, $memory_mib, $gpu, $vram_mib, $disk_gb, $architecture::VARCHAR, $vendors::VARCHAR[], $regions::VARCHAR[],
        $allocation::VARCHAR, $burstable::BOOLEAN, $gpu_models::VARCHAR[], $platform
    )
    WHERE of_server = 0 AND of_price = 0
    GROUP BY id, vendor_id, server_id, vcpus, memory_mib
    ORDER BY price_hourly, vcpus DESC, memory_mib DESC, vendor_id, server_id
    LIMIT $limit
)
SELECT
    vendor_id, server_id, region, allocation, price_hourly, currency, price_observed_at, price_quality, vcpus, memory_mib,
    gpu_count, gpu_model, gpu_memory_total_mib, cpu_architecture, cpu_allocation, storage_gb
FROM least
JOIN prices USING (id, price_hourly)
JOIN sold_servers USING (id)
WHERE coalesce(allocation = $allocation::VARCHAR, true)
    AND coalesce(list_contains($regions::VARCHAR[], region), true)
QUALIFY row_number() OVER (PARTITION BY id ORDER BY region, allocation) = 1
ORDER BY price_hourly, vcpus DESC, memory_mib DESC, vendor_id, server_id

-- Where nothing fits: for each smallest set of constraints that has to give, the offer that asks for the least of it.
WITH judged AS (
    SELECT
        *,
        -- how many times too small the offer is; without any of what is asked for it is the farthest
        greatest(
            $cpu / vcpus,
            $memory_mib / memory_mib,
            CASE WHEN gpu_count >= $gpu THEN 0 ELSE coalesce($gpu / nullif(gpu_count, 0), 'infinity'::DOUBLE) END,
            CASE WHEN $vram_mib > 0
                THEN coalesce($vram_mib / (gpu_memory_min_mib * greatest($gpu, 1)), 'infinity'::DOUBLE)
                ELSE 0 END,
            CASE WHEN storage_gb >= $disk_gb THEN 0 ELSE coalesce($disk_gb / nullif(storage_gb, 0), 'infinity'::DOUBLE) END
        ) AS distance
    FROM judged(
        $cpu, $memory_mib, $gpu, $vram_mib, $disk_gb, $architecture::VARCHAR, $vendors::VARCHAR[], $regions::VARCHAR[],
        $allocation::VARCHAR, $burstable::BOOLEAN
    )
)
SELECT
    shortfalls, vendor_id, region, allocation, cpu_architecture, vcpus, memory_mib, gpu_count,
    gpu_memory_min_mib * greatest($gpu, 1) AS vram_mib, storage_gb
FROM judged
QUALIFY bit_count(shortfalls) = min(bit_count(shortfalls)) OVER ()
    AND row_number() OVER (
        PARTITION BY shortfalls ORDER BY distance, price_hourly, vendor_id, server_id, region, allocation
    ) = 1
ORDER BY shortfalls

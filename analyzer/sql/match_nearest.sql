-- Where nothing fits: for each smallest set of constraints that has to give, the offer that asks for the least of it.
WITH judged AS (
    SELECT
        *,
        -- how many times too small the offer is; without any of what is asked for it is the farthest
        greatest(
            $cpu / cores_free,
            coalesce($memory_mib / nullif(memory_free_mib, 0), 'infinity'::DOUBLE),
            CASE WHEN gpus_known >= $gpu THEN 0 ELSE coalesce($gpu / nullif(gpus_known, 0), 'infinity'::DOUBLE) END,
            CASE WHEN $vram_mib > 0
                THEN coalesce($vram_mib / nullif(vram_mib, 0), 'infinity'::DOUBLE)
                ELSE 0 END,
            CASE WHEN storage_gb >= $disk_gb THEN 0 ELSE coalesce($disk_gb / nullif(storage_gb, 0), 'infinity'::DOUBLE) END
        ) AS distance
    FROM judged(
        $cpu, $memory_mib, $gpu, $vram_mib, $disk_gb, $architecture::VARCHAR, $vendors::VARCHAR[], $regions::VARCHAR[],
        $allocation::VARCHAR, $burstable::BOOLEAN, $gpu_models::VARCHAR[], $platform
    )
)
SELECT
    shortfalls, vendor_id, region, allocation, cpu_architecture, cores_free, memory_free_mib, gpus_known,
    vram_mib, storage_gb, gpu_model
FROM judged
QUALIFY bit_count(shortfalls) = min(bit_count(shortfalls)) OVER ()
    AND row_number() OVER (
        PARTITION BY shortfalls ORDER BY distance, price_hourly, vendor_id, server_id, region, allocation
    ) = 1
ORDER BY shortfalls

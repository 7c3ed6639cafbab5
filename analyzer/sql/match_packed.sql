-- What so many tasks cost on each server that fits one of them, as many on a server as fit side by side.
-- $side_by_side run at once; whole waves of them first, what is left in a last one, for which fewer servers stay.
-- billing: how a vendor counts time, at least so many seconds, then in such steps (docs/catalogue.md); others by the hour.
WITH billing (vendor_id, minimum_s, step_s) AS (
    VALUES ('aws', 60, 1), ('gcp', 60, 1), ('azure', 60, 1), ('alicloud', 60, 1)
),
fitting AS (
    SELECT
        *,
        greatest(1, least(
            $side_by_side,
            if($cpu > 0, floor(cores_free / $cpu), $side_by_side),
            if($memory_mib > 0, floor(memory_free_mib / $memory_mib), $side_by_side),
            -- GPUs are not shared between tasks, so one that asks for memory alone has one of its own
            if($gpu > 0 OR $vram_mib > 0, floor(gpus_known / greatest($gpu, 1)), $side_by_side),
            if($disk_gb > 0, floor(storage_gb / $disk_gb), $side_by_side)
        )) AS tasks_per_server
    FROM judged(
        $cpu, $memory_mib, $gpu, $vram_mib, $disk_gb, $architecture::VARCHAR, $vendors::VARCHAR[], $regions::VARCHAR[],
        $allocation::VARCHAR, $burstable::BOOLEAN, $gpu_models::VARCHAR[], $platform
    )
    WHERE of_server = 0 AND of_price = 0
),
counted AS (
    SELECT
        *,
        ceil($side_by_side / tasks_per_server) AS servers,
        ceil(($tasks % $side_by_side) / tasks_per_server) AS servers_of_rest,
        $tasks // $side_by_side * $duration_s AS whole_waves_s,
        coalesce(minimum_s, 3600) AS least_s,
        coalesce(step_s, 3600) AS in_steps_of_s,
        greatest(least_s, ceil(whole_waves_s / in_steps_of_s) * in_steps_of_s) AS billed_s,
        greatest(least_s, ceil((whole_waves_s + $duration_s) / in_steps_of_s) * in_steps_of_s) AS billed_with_rest_s
    FROM fitting LEFT JOIN billing USING (vendor_id)
),
priced AS (
    SELECT
        *,
        price_hourly / 3600 * ((servers - servers_of_rest) * billed_s + servers_of_rest * billed_with_rest_s) AS cost
    FROM counted
)
SELECT
    vendor_id, server_id, region, allocation, price_hourly, currency, price_observed_at, price_quality, vcpus, memory_mib,
    gpu_count, gpu_model, gpu_memory_total_mib, cpu_architecture, cpu_allocation, storage_gb,
    tasks_per_server::INTEGER, servers::INTEGER, cost, cost / $tasks AS cost_per_task
FROM priced
QUALIFY NOT $once
    OR row_number() OVER (PARTITION BY vendor_id, server_id ORDER BY cost, region, allocation) = 1
ORDER BY cost, price_hourly, vcpus DESC, memory_mib DESC, vendor_id, server_id, region, allocation
LIMIT $limit

-- What the attempts of one step used before, of those that are over: one row.
-- Parameters: $flow, $step, $project (NULL: none), $production; $run, $task and $attempt name the one to leave out.
SELECT
    count(*) AS attempts,
    count(DISTINCT (run, concat_ws('/', branch, "user"))) AS runs,
    sum(cpu_mean * duration_s) / nullif(sum(duration_s) FILTER (cpu_mean IS NOT NULL), 0) AS cpu_mean,
    max(cpu_max) AS cpu_max,
    sum(memory_mean_bytes * duration_s) / nullif(sum(duration_s) FILTER (memory_mean_bytes IS NOT NULL), 0)
        AS memory_mean_bytes,
    max(memory_peak_bytes) AS memory_peak_bytes,
    sum(gpu_utilization_mean * duration_s) / nullif(sum(duration_s) FILTER (gpu_utilization_mean IS NOT NULL), 0)
        AS gpu_mean,
    max(gpu_utilization_max) AS gpu_max,
    sum(gpu_memory_mean_bytes * duration_s) / nullif(sum(duration_s) FILTER (gpu_memory_mean_bytes IS NOT NULL), 0)
        AS vram_mean_bytes,
    max(gpu_memory_peak_bytes) AS vram_peak_bytes,
    sum(disk_read_bytes + disk_write_bytes)
        / nullif(sum(duration_s) FILTER (disk_read_bytes + disk_write_bytes IS NOT NULL), 0) AS disk_rate_mean
FROM tasks
WHERE outcome IS NOT NULL
  AND flow = $flow
  AND step = $step
  AND project IS NOT DISTINCT FROM $project
  -- As the analyzer tells production from the rest.
  AND coalesce(branch = 'prod' OR starts_with(branch, 'prod.'), FALSE) = $production
  AND NOT (run = $run AND task = $task AND attempt = $attempt)

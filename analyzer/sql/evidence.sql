-- One row per attempt of `seen`: attempts of a step after one another, in the order in which they began.
SELECT
    steps.number,
    seen.run,
    seen.owner,
    seen.task,
    seen.attempt,
    seen.outcome,
    epoch(seen.started_at) AS started_at_s,
    seen.duration_s,
    seen.cpu_seconds,
    seen.cpu_mean,
    seen.cpu_max,
    seen.throttled_s,
    seen.cpu_limit,
    seen.thread_limits::VARCHAR AS thread_limits,
    seen.memory_peak_bytes,
    seen.memory_source,
    seen.memory_limit_bytes,
    seen.gpu_count,
    seen.gpu_utilization_mean,
    seen.gpu_utilization_max,
    seen.gpu_memory_peak_bytes,
    seen.disk_peak_bytes,
    seen.requested_cpu,
    seen.requested_memory_bytes,
    seen.requested_gpu,
    seen.requested_disk_bytes,
    seen.requested_timeout_s,
    seen.host_cpus,
    seen.item,
    seen.code_version,
    seen.annotations::VARCHAR AS annotations
FROM seen
JOIN steps
  ON seen.project IS NOT DISTINCT FROM steps.project
 AND seen.production = steps.production
 AND seen.flow = steps.flow
 AND seen.step = steps.step
ORDER BY steps.number, seen.started_at NULLS FIRST, seen.run, seen.owner, seen.task, seen.attempt

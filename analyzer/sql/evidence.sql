-- One row per attempt of `seen`: attempts of a step after one another, in the order in which they began. Numbers that
-- cannot be (rows may come from elsewhere than a collector of ours) are not known; nor is a request for nothing.
SELECT
    steps.number,
    seen.run,
    seen.owner,
    seen.task,
    seen.attempt,
    seen.outcome,
    epoch(seen.started_at) AS started_at_s,
    if(isfinite(seen.duration_s) AND seen.duration_s >= 0, seen.duration_s, NULL) AS duration_s,
    if(isfinite(seen.cpu_seconds) AND seen.cpu_seconds >= 0, seen.cpu_seconds, NULL) AS cpu_seconds,
    if(isfinite(seen.cpu_mean) AND seen.cpu_mean >= 0, seen.cpu_mean, NULL) AS cpu_mean,
    if(isfinite(seen.cpu_max) AND seen.cpu_max >= 0, seen.cpu_max, NULL) AS cpu_max,
    if(isfinite(seen.throttled_s) AND seen.throttled_s >= 0, seen.throttled_s, NULL) AS throttled_s,
    if(isfinite(seen.cpu_limit) AND seen.cpu_limit > 0, seen.cpu_limit, NULL) AS cpu_limit,
    seen.thread_limits::VARCHAR AS thread_limits,
    if(seen.memory_peak_bytes >= 0, seen.memory_peak_bytes, NULL) AS memory_peak_bytes,
    seen.memory_source,
    if(seen.memory_limit_bytes > 0, seen.memory_limit_bytes, NULL) AS memory_limit_bytes,
    if(isfinite(seen.gpu_count) AND seen.gpu_count >= 0, seen.gpu_count, NULL) AS gpu_count,
    if(isfinite(seen.gpu_utilization_mean) AND seen.gpu_utilization_mean >= 0, seen.gpu_utilization_mean, NULL) AS gpu_utilization_mean,
    if(isfinite(seen.gpu_utilization_max) AND seen.gpu_utilization_max >= 0, seen.gpu_utilization_max, NULL) AS gpu_utilization_max,
    if(seen.gpu_memory_peak_bytes >= 0, seen.gpu_memory_peak_bytes, NULL) AS gpu_memory_peak_bytes,
    if(seen.disk_peak_bytes >= 0, seen.disk_peak_bytes, NULL) AS disk_peak_bytes,
    if(isfinite(seen.requested_cpu) AND seen.requested_cpu > 0, seen.requested_cpu, NULL) AS requested_cpu,
    if(seen.requested_memory_bytes > 0, seen.requested_memory_bytes, NULL) AS requested_memory_bytes,
    if(isfinite(seen.requested_gpu) AND seen.requested_gpu >= 0, seen.requested_gpu, NULL) AS requested_gpu,
    if(seen.requested_disk_bytes > 0, seen.requested_disk_bytes, NULL) AS requested_disk_bytes,
    if(isfinite(seen.requested_timeout_s) AND seen.requested_timeout_s > 0, seen.requested_timeout_s, NULL) AS requested_timeout_s,
    if(seen.host_cpus > 0, seen.host_cpus, NULL) AS host_cpus,
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

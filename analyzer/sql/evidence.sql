-- One row per attempt of `seen`: attempts of a step after one another, in the order in which they began. Numbers that
-- cannot be (rows may come from elsewhere than a collector of ours) are not known; nor is a request for nothing, nor what
-- was said in more than 16 KiB: a step's attempts are held in memory together.
SELECT
    steps.number,
    seen.run,
    seen.owner,
    seen.task,
    seen.attempt,
    seen.outcome,
    epoch(seen.started_at) AS started_at_s,
    if(seen.duration_s BETWEEN 0 AND 1e15, seen.duration_s, NULL) AS duration_s,
    if(seen.cpu_seconds BETWEEN 0 AND 1e15, seen.cpu_seconds, NULL) AS cpu_seconds,
    if(seen.cpu_mean BETWEEN 0 AND 1e15, seen.cpu_mean, NULL) AS cpu_mean,
    if(seen.cpu_max BETWEEN 0 AND 1e15, seen.cpu_max, NULL) AS cpu_max,
    if(seen.throttled_s BETWEEN 0 AND 1e15, seen.throttled_s, NULL) AS throttled_s,
    if(seen.cpu_limit > 0 AND seen.cpu_limit < 1e15, seen.cpu_limit, NULL) AS cpu_limit,
    seen.thread_limits::VARCHAR AS thread_limits,
    if(seen.memory_peak_bytes >= 0, seen.memory_peak_bytes, NULL) AS memory_peak_bytes,
    seen.memory_source,
    if(seen.memory_limit_bytes > 0, seen.memory_limit_bytes, NULL) AS memory_limit_bytes,
    if(seen.gpu_count BETWEEN 0 AND 1e15, seen.gpu_count, NULL) AS gpu_count,
    if(seen.gpu_utilization_mean BETWEEN 0 AND 1e15, seen.gpu_utilization_mean, NULL) AS gpu_utilization_mean,
    if(seen.gpu_utilization_max BETWEEN 0 AND 1e15, seen.gpu_utilization_max, NULL) AS gpu_utilization_max,
    if(seen.gpu_memory_peak_bytes >= 0, seen.gpu_memory_peak_bytes, NULL) AS gpu_memory_peak_bytes,
    seen.instance_type,
    if(seen.disk_peak_bytes >= 0, seen.disk_peak_bytes, NULL) AS disk_peak_bytes,
    if(seen.requested_cpu > 0 AND seen.requested_cpu < 1e15, seen.requested_cpu, NULL) AS requested_cpu,
    if(seen.requested_memory_bytes > 0, seen.requested_memory_bytes, NULL) AS requested_memory_bytes,
    if(seen.requested_gpu BETWEEN 0 AND 1e15, seen.requested_gpu, NULL) AS requested_gpu,
    if(seen.requested_disk_bytes > 0, seen.requested_disk_bytes, NULL) AS requested_disk_bytes,
    if(seen.requested_timeout_s > 0 AND seen.requested_timeout_s < 1e15, seen.requested_timeout_s, NULL) AS requested_timeout_s,
    seen.target,
    if(seen.host_cpus > 0, seen.host_cpus, NULL) AS host_cpus,
    seen.item,
    seen.code_version,
    if(strlen(seen.annotations::VARCHAR) <= 16384, seen.annotations::VARCHAR, NULL) AS annotations
FROM seen
JOIN steps
  ON seen.project IS NOT DISTINCT FROM steps.project
 AND seen.production = steps.production
 AND seen.flow = steps.flow
 AND seen.step = steps.step
ORDER BY steps.number, seen.started_at NULLS FIRST, seen.run, seen.owner, seen.task, seen.attempt

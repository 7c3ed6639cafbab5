-- Attempts that ended lately, the newest first.
SELECT
    coalesce(flow, '') AS flow, coalesce(run, '') AS run, coalesce(step, '') AS step, coalesce(task, '') AS task,
    coalesce(attempt, 0) AS attempt, item, started_at, ended_at, outcome, cpu_mean, requested_cpu, cpu_limit,
    memory_peak_bytes, requested_memory_bytes, memory_limit_bytes, coalesce(requested_gpu, gpu_count) AS gpus,
    false AS has_gpus, host, project, branch, "user", false AS is_shared
FROM tasks
WHERE outcome IS NOT NULL AND ended_at >= $since AND ended_at <= $until
ORDER BY ended_at DESC, flow, run, step, task, attempt
LIMIT $limit;

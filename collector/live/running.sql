-- Attempts that run. Named once, so that the view is read once for all that is asked of them. Those of one name are
-- told from each other, and from one that has ended while their curves go back.
CREATE OR REPLACE TEMP TABLE running AS
SELECT
    coalesce(flow, '') AS flow, coalesce(run, '') AS run, coalesce(step, '') AS step, coalesce(task, '') AS task,
    coalesce(attempt, 0) AS attempt, item, started_at, ended_at, outcome, cpu_mean, requested_cpu, cpu_limit,
    memory_peak_bytes, requested_memory_bytes, memory_limit_bytes, coalesce(requested_gpu, gpu_count) AS gpus,
    gpus > 0 OR gpu_utilization_max IS NOT NULL OR gpu_memory_peak_bytes IS NOT NULL AS has_gpus, host,
    project, branch, "user",
    count(*) OVER (
        PARTITION BY coalesce(flow, ''), coalesce(run, ''), coalesce(step, ''), coalesce(task, ''), coalesce(attempt, 0)
    ) > 1 AS is_shared,
    memory_peak_bytes / nullif(coalesce(memory_limit_bytes, requested_memory_bytes), 0) AS memory_share
FROM tasks
WHERE outcome IS NULL OR ended_at >= $since
QUALIFY outcome IS NULL;

-- Attempts that run. Named once, so that the view is read once for all that is asked of them.
CREATE OR REPLACE TEMP TABLE running AS
SELECT
    coalesce(flow, '') AS flow, coalesce(run, '') AS run, coalesce(step, '') AS step, coalesce(task, '') AS task,
    coalesce(attempt, 0) AS attempt, item, started_at, ended_at, outcome, cpu_mean, requested_cpu, cpu_limit,
    memory_peak_bytes, requested_memory_bytes, memory_limit_bytes, host,
    memory_peak_bytes / nullif(coalesce(memory_limit_bytes, requested_memory_bytes), 0) AS memory_share
FROM tasks
WHERE outcome IS NULL;

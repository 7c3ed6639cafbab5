-- Of some steps, the running attempts that are shown: those nearest to their memory first.
SELECT
    flow, run, step, task, attempt, item, started_at, ended_at, outcome, cpu_mean, requested_cpu, cpu_limit,
    memory_peak_bytes, requested_memory_bytes, memory_limit_bytes, gpus, has_gpus, host, project, branch, "user", is_shared
FROM running
WHERE (flow, run, step) IN (SELECT unnest($flows), unnest($runs), unnest($steps))
QUALIFY row_number() OVER (
    PARTITION BY flow, run, step
    ORDER BY memory_share DESC NULLS LAST, memory_peak_bytes DESC NULLS LAST, length(task), task, attempt
) BETWEEN $first AND $last
ORDER BY memory_share DESC NULLS LAST, memory_peak_bytes DESC NULLS LAST, length(task), task, attempt;

SELECT
    started_at AS "Started",
    run AS "Run",
    task AS "Task",
    attempt AS "Attempt",
    coalesce(outcome, 'running') AS "Outcome",
    duration_s AS "Duration",
    memory_peak_bytes::DOUBLE AS "Peak",
    requested_memory_bytes::DOUBLE AS "Asked for",
    cpu_mean AS "Cores",
    host AS "Host"
FROM tasks
WHERE flow IN (${flow:sqlstring}) AND step IN (${step:sqlstring}) AND run IN (${run:sqlstring})
    AND $__timeFilter(started_at)
ORDER BY memory_peak_bytes DESC NULLS LAST
LIMIT 50

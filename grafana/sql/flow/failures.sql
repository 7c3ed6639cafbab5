SELECT
    ended_at AS "Ended",
    flow AS "Flow",
    run AS "Run",
    step AS "Step",
    task AS "Task",
    attempt AS "Attempt",
    outcome AS "Outcome",
    exit_code AS "Exit code",
    duration_s AS "Duration",
    memory_peak_bytes::DOUBLE AS "Peak",
    least(requested_memory_bytes, memory_limit_bytes)::DOUBLE AS "May hold",
    host AS "Host"
FROM tasks
WHERE flow IN (${flow:sqlstring}) AND $__timeFilter(ended_at)
    AND outcome IN ('failed', 'killed', 'oom', 'lost')
ORDER BY ended_at DESC
LIMIT 100

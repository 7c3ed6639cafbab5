SELECT
    flow AS "Flow",
    step AS "Step",
    count(*) AS "Attempts",
    avg((outcome <> 'ok')::INTEGER) AS "Not ok",
    count(*) FILTER (WHERE outcome = 'oom') AS "Out of memory",
    quantile_cont(duration_s, 0.5) AS "Duration, typical",
    sum(cpu_seconds) / 3600 AS "Core·h used",
    max(memory_peak_bytes)::DOUBLE AS "Peak, highest",
    max(memory_peak_bytes / nullif(requested_memory_bytes, 0)::DOUBLE) AS "Of the request",
    max(started_at) AS "Last"
FROM tasks
WHERE flow IN (${flow:sqlstring}) AND $__timeFilter(started_at)
GROUP BY flow, step
ORDER BY sum(cpu_seconds) DESC NULLS LAST
LIMIT 200

SELECT
    $__timeGroup(started_at, $__interval) AS time,
    max(memory_peak_bytes)::DOUBLE AS "highest peak",
    quantile_cont(memory_peak_bytes, 0.5)::DOUBLE AS "typical peak",
    max(requested_memory_bytes)::DOUBLE AS "asked for",
    max(memory_limit_bytes)::DOUBLE AS "limit"
FROM tasks
WHERE flow IN (${flow:sqlstring}) AND step IN (${step:sqlstring}) AND run IN (${run:sqlstring})
    AND $__timeFilter(started_at)
GROUP BY 1
ORDER BY 1

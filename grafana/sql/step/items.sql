-- Items of a foreach; a step without one is a single row.
SELECT
    coalesce(item, '(no item)') AS "Item",
    count(*) AS "Attempts",
    avg((outcome <> 'ok')::INTEGER) AS "Not ok",
    quantile_cont(memory_peak_bytes, 0.5)::DOUBLE AS "Peak, typical",
    max(memory_peak_bytes)::DOUBLE AS "Peak, highest",
    max(memory_peak_bytes / nullif(requested_memory_bytes, 0)::DOUBLE) AS "Of the request",
    quantile_cont(duration_s, 0.5) AS "Duration, typical",
    max(cpu_p95) AS "Cores, 95 % of the time"
FROM tasks
WHERE flow IN (${flow:sqlstring}) AND step IN (${step:sqlstring}) AND run IN (${run:sqlstring})
    AND $__timeFilter(started_at)
GROUP BY 1
ORDER BY "Peak, highest" DESC NULLS LAST
LIMIT 200

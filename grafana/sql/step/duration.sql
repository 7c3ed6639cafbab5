SELECT
    $__timeGroup(started_at, $__interval) AS time,
    quantile_cont(duration_s, 0.5) AS "typical",
    max(duration_s) AS "longest"
FROM tasks
WHERE flow IN (${flow:sqlstring}) AND step IN (${step:sqlstring}) AND run IN (${run:sqlstring})
    AND $__timeFilter(started_at) AND outcome = 'ok'
GROUP BY 1
ORDER BY 1

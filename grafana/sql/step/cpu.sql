SELECT
    $__timeGroup(started_at, $__interval) AS time,
    max(cpu_p95) AS "95 % of the time",
    quantile_cont(cpu_mean, 0.5) AS "mean",
    max(requested_cpu) AS "asked for"
FROM tasks
WHERE flow IN (${flow:sqlstring}) AND step IN (${step:sqlstring}) AND run IN (${run:sqlstring})
    AND $__timeFilter(started_at)
GROUP BY 1
ORDER BY 1

{% include 'shared/runs.sql' %}
SELECT
    $__timeGroup(began, $__interval) AS time,
    quantile_cont(duration_s, 0.5) AS "typical",
    max(duration_s) AS "longest"
FROM runs
WHERE NOT is_running
GROUP BY 1
ORDER BY 1

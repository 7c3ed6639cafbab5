{% include 'shared/runs.sql' %}
SELECT
    $__timeGroup(began, $__interval) AS time,
    count(*) FILTER (WHERE NOT has_failed AND NOT is_running) AS "well",
    count(*) FILTER (WHERE has_failed) AS "failed",
    count(*) FILTER (WHERE is_running AND NOT has_failed) AS "running"
FROM runs
GROUP BY 1
ORDER BY 1

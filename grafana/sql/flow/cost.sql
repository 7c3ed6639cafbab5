{% include 'shared/runs.sql' %}
{% include 'shared/costs.sql' %}
SELECT
    $__timeGroup(began, $__interval) AS time,
    sum(now) AS "as requested",
    sum(recommended) AS "as recommended"
FROM charged
WHERE (SELECT count(DISTINCT currency) FROM charged) = 1
GROUP BY 1
ORDER BY 1

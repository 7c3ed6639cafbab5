{% include 'shared/runs.sql' %}
{% include 'shared/costs.sql' %}
SELECT
    count(*) AS "Runs",
    count(*) FILTER (WHERE is_running) AS "Running",
    avg(has_failed::INTEGER) FILTER (WHERE NOT is_running) AS "Failed",
    quantile_cont(duration_s, 0.5) FILTER (WHERE NOT is_running) AS "Duration, typical",
    sum(retries)::DOUBLE AS "Attempts again",
    CASE WHEN count(DISTINCT currency) = 1 THEN sum(now) END AS "Cost, estimated",
    max(currency) AS "Currency"
FROM charged

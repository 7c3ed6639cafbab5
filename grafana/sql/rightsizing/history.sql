SELECT
    day::TIMESTAMPTZ AS time,
    CASE WHEN count(DISTINCT currency) = 1 THEN sum(saving_per_month) FILTER (WHERE saving_per_month > 0) END AS "to save a month"
FROM recommendation_history
WHERE flow IN (${flow:sqlstring}) AND $__timeFilter(day::TIMESTAMPTZ)
GROUP BY day
ORDER BY day

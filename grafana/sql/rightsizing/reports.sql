-- The reports that are kept; their pages where somebody said at which address the collector shows them (docs/live.md).
SELECT
    day::VARCHAR AS "Day",
    count(*) AS "Steps",
    CASE WHEN count(DISTINCT currency) = 1 THEN sum(saving_per_month) FILTER (WHERE saving_per_month > 0) END
        AS "To save a month",
    CASE WHEN count(DISTINCT currency) = 1 THEN max(currency) END AS "Currency",
    CASE
        WHEN regexp_full_match(${live_page:sqlstring}, 'https?://[^/\s]+/*')
        THEN rtrim(${live_page:sqlstring}, '/') || '/live/reports/' || day || '/report.html'
    END AS "Page",
    'reports/day=' || day || '/report.html' AS "In the lake"
FROM recommendation_history
WHERE flow IN (${flow:sqlstring}) AND $__timeFilter(day::TIMESTAMPTZ)
GROUP BY day
ORDER BY day DESC
LIMIT 14

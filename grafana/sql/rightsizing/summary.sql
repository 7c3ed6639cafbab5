-- Money is added up where it is of one currency.
SELECT
    CASE WHEN count(DISTINCT currency) = 1 THEN sum(saving_per_month) FILTER (WHERE saving_per_month > 0) END
        AS "To save a month",
    max(currency) AS "Currency",
    sum(wasted_gb_h) AS "Memory held and not used",
    count(*) FILTER (
        WHERE recommended_memory_mb IS DISTINCT FROM requested_memory_mb
            OR recommended_cpu IS DISTINCT FROM requested_cpu
            OR recommended_gpu IS DISTINCT FROM requested_gpu
    ) AS "Steps to change",
    count(*) AS "Steps",
    max(extract(epoch FROM now() - day::TIMESTAMPTZ))::DOUBLE AS "Age of the report's day"
FROM recommendations
WHERE flow IN (${flow:sqlstring})

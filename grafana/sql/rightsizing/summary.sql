-- Money is added up where it is of one currency. What is to change: as the nightly report counts it.
SELECT
    CASE WHEN count(DISTINCT currency) = 1 THEN sum(saving_per_month) FILTER (WHERE saving_per_month > 0) END
        AS "To save a month",
    CASE WHEN count(DISTINCT currency) = 1 THEN max(currency) END AS "Currency",
    sum(wasted_gb_h) AS "GB·h held and not used",
    count(*) FILTER (
        WHERE recommended_memory_mb <> coalesce(requested_memory_mb, -1)
            OR recommended_cpu <> coalesce(requested_cpu, -1)
            OR recommended_gpu <> coalesce(requested_gpu, -1)
            OR recommended_vram_mb <> coalesce(requested_vram_mb, -1)
            OR recommended_disk_mb <> coalesce(requested_disk_mb, -1)
            OR recommended_timeout_s <> requested_timeout_s
    ) AS "Steps to change",
    count(*) AS "Steps",
    max(extract(epoch FROM now() - day::TIMESTAMPTZ))::DOUBLE AS "Age of the report's day"
FROM recommendations
WHERE flow IN (${flow:sqlstring})

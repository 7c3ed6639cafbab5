WITH chosen AS (
    SELECT *
    FROM tasks
    WHERE flow IN (${flow:sqlstring}) AND step IN (${step:sqlstring}) AND run IN (${run:sqlstring})
        AND $__timeFilter(started_at)
)
SELECT
    count(*) AS "Attempts",
    count(DISTINCT row(project, branch, "user", run)) AS "Runs",
    avg((outcome <> 'ok')::INTEGER) AS "Not ok",
    quantile_cont(duration_s, 0.5) AS "Duration, typical",
    quantile_cont(memory_peak_bytes, 0.5)::DOUBLE AS "Peak, typical",
    max(memory_peak_bytes)::DOUBLE AS "Peak, highest",
    arg_max(requested_memory_bytes, started_at)::DOUBLE AS "Memory asked for",
    (
        SELECT max(recommended_memory_mb) * 1e6
        FROM recommendations
        WHERE flow IN (${flow:sqlstring}) AND step IN (${step:sqlstring})
    ) AS "Memory recommended"
FROM chosen

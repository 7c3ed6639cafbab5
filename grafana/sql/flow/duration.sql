WITH runs AS (
    SELECT min(started_at) AS began, extract(epoch FROM max(ended_at) - min(started_at))::DOUBLE AS duration_s
    FROM tasks
    WHERE flow IN (${flow:sqlstring}) AND $__timeFilter(started_at)
    GROUP BY flow, project, run
    HAVING NOT bool_or(outcome IS NULL)
)
SELECT
    $__timeGroup(began, $__interval) AS time,
    quantile_cont(duration_s, 0.5) AS "typical",
    max(duration_s) AS "longest"
FROM runs
GROUP BY 1
ORDER BY 1

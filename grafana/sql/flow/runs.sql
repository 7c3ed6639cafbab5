WITH ends AS (
    SELECT
        flow, project, run, step, task,
        arg_max(coalesce(outcome, 'running'), attempt) AS outcome,
        min(started_at) AS began
    FROM tasks
    WHERE flow IN (${flow:sqlstring}) AND $__timeFilter(started_at)
    GROUP BY ALL
), runs AS (
    SELECT
        bool_or(outcome = 'running') AS is_running,
        bool_or(outcome NOT IN ('ok', 'running')) AS has_failed,
        min(began) AS began
    FROM ends
    GROUP BY flow, project, run
)
SELECT
    $__timeGroup(began, $__interval) AS time,
    count(*) FILTER (WHERE NOT has_failed AND NOT is_running) AS "well",
    count(*) FILTER (WHERE has_failed) AS "failed",
    count(*) FILTER (WHERE is_running AND NOT has_failed) AS "running"
FROM runs
GROUP BY 1
ORDER BY 1

-- Of a task the last attempt counts: what was tried again and went well has not failed.
WITH ends AS (
    SELECT
        flow, project, run, step, task,
        arg_max(coalesce(outcome, 'running'), attempt) AS outcome,
        min(started_at) AS began,
        max(ended_at) AS ended,
        count(*) - 1 AS retries
    FROM tasks
    WHERE flow IN (${flow:sqlstring}) AND $__timeFilter(started_at)
    GROUP BY ALL
), runs AS (
    SELECT
        flow, project, run,
        bool_or(outcome = 'running') AS is_running,
        bool_or(outcome NOT IN ('ok', 'running')) AS has_failed,
        extract(epoch FROM max(ended) - min(began))::DOUBLE AS duration_s,
        sum(retries) AS retries
    FROM ends
    GROUP BY ALL
), costs AS (
    SELECT flow, project, sum(cost_per_run_now) AS cost FROM recommendations GROUP BY ALL
)
SELECT
    count(*) AS "Runs",
    count(*) FILTER (WHERE is_running) AS "Running",
    avg(has_failed::INTEGER) FILTER (WHERE NOT is_running) AS "Failed",
    quantile_cont(duration_s, 0.5) FILTER (WHERE NOT is_running) AS "Duration, typical",
    sum(retries)::DOUBLE AS "Attempts again",
    sum(cost) AS "Cost, estimated"
FROM runs LEFT JOIN costs ON costs.flow = runs.flow AND costs.project IS NOT DISTINCT FROM runs.project

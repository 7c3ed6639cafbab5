-- Runs by what one costs in the newest report.
WITH runs AS (
    SELECT flow, project, min(started_at) AS began
    FROM tasks
    WHERE flow IN (${flow:sqlstring}) AND $__timeFilter(started_at)
    GROUP BY flow, project, run
), costs AS (
    SELECT flow, project, sum(cost_per_run_now) AS now, sum(cost_per_run_recommended) AS then
    FROM recommendations
    GROUP BY ALL
)
SELECT
    $__timeGroup(began, $__interval) AS time,
    sum(costs.now) AS "as requested",
    sum(costs.then) AS "as recommended"
FROM runs JOIN costs ON costs.flow = runs.flow AND costs.project IS NOT DISTINCT FROM runs.project
GROUP BY 1
ORDER BY 1

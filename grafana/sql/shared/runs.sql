-- Runs that began in the range, with all of their attempts. Run numbers repeat between deployments: a run is one of its user
-- and branch. Of a task the last attempt counts: what was tried again and went well has not failed.
WITH touched AS (
    SELECT DISTINCT flow, run FROM tasks WHERE flow IN (${flow:sqlstring}) AND $__timeFilter(started_at)
), ends AS (
    SELECT
        flow, project, branch, "user", run, step, task,
        arg_max(coalesce(outcome, 'running'), attempt) AS outcome,
        min(started_at) AS began,
        max(ended_at) AS ended,
        count(*) - 1 AS retries
    FROM tasks SEMI JOIN touched USING (flow, run)
    GROUP BY ALL
), whole AS (
    SELECT
        flow,
        project,
        coalesce(branch = 'prod' OR starts_with(branch, 'prod.'), false) AS production,
        bool_or(outcome = 'running') AS is_running,
        bool_or(outcome IN ('failed', 'killed', 'oom', 'lost')) AS has_failed,
        min(began) AS began,
        extract(epoch FROM max(ended) - min(began))::DOUBLE AS duration_s,
        sum(retries) AS retries
    FROM ends
    GROUP BY flow, project, branch, "user", run
), runs AS (
    SELECT * FROM whole WHERE $__timeFilter(began)
)

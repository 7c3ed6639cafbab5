-- What a query asks for of the view `tasks`, as `seen`, and its `steps`: each history (project, production or not, flow,
-- step) with its number in the order of projects, flows and first appearance. What begins with this goes on with SELECT.
-- Parameters, NULL where there is no such filter: $flow, $step, $branch (a glob), $origin, $since_s (epoch), $runs.
WITH chosen AS (
    SELECT
        *,
        -- Run numbers repeat between deployments: a run is one of its user and branch.
        concat_ws('/', branch, "user") AS owner,
        -- Metaflow's own names: `prod`, or `prod.NAME` under --production --branch NAME.
        coalesce(branch = 'prod' OR starts_with(branch, 'prod.'), FALSE) AS production
    FROM tasks
    WHERE ($flow::VARCHAR IS NULL OR flow = $flow)
      AND ($branch::VARCHAR IS NULL OR branch GLOB $branch)
      AND ($origin::VARCHAR IS NULL OR run_origin = $origin)
      AND ($since_s::DOUBLE IS NULL OR started_at >= to_timestamp($since_s))
),
runs AS (
    SELECT
        project,
        production,
        flow,
        run,
        owner,
        row_number() OVER (PARTITION BY project, production, flow ORDER BY min(started_at) DESC, run DESC, owner) AS age
    FROM chosen
    GROUP BY project, production, flow, run, owner
),
seen AS (
    SELECT chosen.*
    FROM chosen
    JOIN runs
      ON chosen.project IS NOT DISTINCT FROM runs.project
     AND chosen.production = runs.production
     AND chosen.flow = runs.flow
     AND chosen.run = runs.run
     AND chosen.owner = runs.owner
    WHERE ($runs::BIGINT IS NULL OR runs.age <= $runs)
      AND ($step::VARCHAR IS NULL OR step = $step)
),
steps AS (
    SELECT
        project,
        production,
        flow,
        step,
        row_number() OVER (
            ORDER BY project NULLS FIRST, production DESC, flow, min(started_at), step
        ) AS number
    FROM seen
    GROUP BY project, production, flow, step
)

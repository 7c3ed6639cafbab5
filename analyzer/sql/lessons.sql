-- What the steps of a lake teach each other: how often and how far the tasks of a run went above the largest peak of the
-- runs before it, by how many runs those were, and what a typical task of each flow holds.
-- Parameters, NULL where there is no such filter: $branch (a glob), $origin, $since_s (epoch). $step: the width of a cell.
WITH finished AS (
    SELECT
        project,
        coalesce(branch = 'prod' OR starts_with(branch, 'prod.'), FALSE) AS production,
        flow,
        step,
        run,
        concat_ws('/', branch, "user") AS owner,
        task,
        min(started_at) AS started_at,
        max(memory_peak_bytes)::DOUBLE AS peak_bytes,
        max(duration_s) / 3600 AS hours
    FROM tasks
    WHERE outcome = 'ok'
      AND memory_peak_bytes > 0
      AND duration_s > 0
      AND isfinite(duration_s)
      AND ($branch::VARCHAR IS NULL OR branch GLOB $branch)
      AND ($origin::VARCHAR IS NULL OR run_origin = $origin)
      AND ($since_s::DOUBLE IS NULL OR started_at >= to_timestamp($since_s))
    GROUP BY ALL
),
runs AS (
    SELECT
        project,
        production,
        flow,
        step,
        run,
        owner,
        count(*) AS tasks,
        min(started_at) AS began_at,
        max(peak_bytes) AS peak_bytes
    FROM finished
    GROUP BY ALL
),
known_before AS (
    SELECT
        * EXCLUDE (peak_bytes),
        row_number() OVER earlier - 1 AS known,
        max(peak_bytes) OVER (earlier ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS largest_bytes
    FROM runs
    WINDOW earlier AS (PARTITION BY project, production, flow, step ORDER BY began_at NULLS FIRST, run, owner)
),
above AS (
    SELECT
        known,
        -- The cell that covers the peak, as stepsize.analyzer.sizing.memory.grid counts them; NULL where it is not above.
        CASE
            WHEN peak_bytes > largest_bytes * (1 + 1e-9)
            THEN ceil(ln(peak_bytes / largest_bytes) / $step - 1e-9)::INTEGER
        END AS cells,
        1.0 / known_before.tasks AS weight
    FROM finished
    JOIN known_before
      ON finished.project IS NOT DISTINCT FROM known_before.project
     AND finished.production = known_before.production
     AND finished.flow = known_before.flow
     AND finished.step = known_before.step
     AND finished.run = known_before.run
     AND finished.owner = known_before.owner
    WHERE known > 0
)
SELECT
    'above' AS kind,
    NULL AS project,
    NULL AS production,
    NULL AS flow,
    known,
    cells,
    sum(weight) AS weight,
    NULL AS byte_hours
FROM above
GROUP BY known, cells
UNION ALL BY NAME
SELECT 'flow' AS kind, project, production, flow, count(*)::DOUBLE AS weight, sum(peak_bytes * hours) AS byte_hours
FROM finished
GROUP BY project, production, flow

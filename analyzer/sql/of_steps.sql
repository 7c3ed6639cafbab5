-- The attempts of chosen steps, each with its step's place among them; goes after seen.sql.
-- Parameters beside those of seen.sql: $flows, $steps, $projects, $productions (lists of equal length).
, wanted AS (
    SELECT
        unnest($flows::VARCHAR[]) AS flow,
        unnest($steps::VARCHAR[]) AS step,
        unnest($projects::VARCHAR[]) AS project,
        unnest($productions::BOOLEAN[]) AS production,
        unnest(range(len($flows::VARCHAR[]))) AS place
),
of_steps AS (
    SELECT wanted.place, seen.*
    FROM seen
    JOIN wanted
      ON seen.project IS NOT DISTINCT FROM wanted.project
     AND seen.production = wanted.production
     AND seen.flow = wanted.flow
     AND seen.step = wanted.step
)

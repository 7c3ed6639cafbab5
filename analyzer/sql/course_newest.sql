-- The attempts of the newest run of chosen steps, those of a step after one another, in the order in which they began.
-- Parameters: as of course_runs.sql, without $columns.
, wanted AS (
    SELECT
        unnest($flows::VARCHAR[]) AS flow,
        unnest($steps::VARCHAR[]) AS step,
        unnest($projects::VARCHAR[]) AS project,
        unnest($productions::BOOLEAN[]) AS production,
        unnest(range(len($flows::VARCHAR[]))) AS place
),
newest AS (
    SELECT wanted.place, seen.project, seen.production, seen.flow, seen.step, seen.run, seen.owner
    FROM seen
    JOIN wanted
      ON seen.project IS NOT DISTINCT FROM wanted.project
     AND seen.production = wanted.production
     AND seen.flow = wanted.flow
     AND seen.step = wanted.step
    GROUP BY wanted.place, seen.project, seen.production, seen.flow, seen.step, seen.run, seen.owner
    QUALIFY row_number() OVER (
        PARTITION BY wanted.place ORDER BY min(seen.started_at) DESC NULLS LAST, seen.run DESC, seen.owner
    ) = 1
)
SELECT
    newest.place,
    seen.run,
    seen.owner,
    seen.task,
    seen.attempt,
    seen.item,
    seen.outcome,
    if(isfinite(seen.started_at), epoch(seen.started_at), NULL) AS started_s,
    if(seen.duration_s BETWEEN 0 AND 1e12, seen.duration_s, NULL) AS duration_s,
    if(seen.memory_peak_bytes >= 0, seen.memory_peak_bytes, NULL) AS memory_peak_bytes
FROM seen
JOIN newest
  ON seen.project IS NOT DISTINCT FROM newest.project
 AND seen.production = newest.production
 AND seen.flow = newest.flow
 AND seen.step = newest.step
 AND seen.run = newest.run
 AND seen.owner = newest.owner
ORDER BY newest.place, seen.started_at NULLS FIRST, seen.task, seen.attempt

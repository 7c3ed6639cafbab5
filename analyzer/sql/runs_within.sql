-- How many of the newest runs of one history hold at most $most attempts of `seen`; NULL where already the newest holds more,
-- or where there is none.
-- Parameters besides those of `seen`: $project, $production, $most.
, sizes AS (
    SELECT runs.age, count(*) AS attempts
    FROM seen
    JOIN runs
      ON seen.flow = runs.flow
     AND seen.run = runs.run
     AND seen.owner = runs.owner
    WHERE seen.project IS NOT DISTINCT FROM $project::VARCHAR
      AND seen.production = $production
      AND runs.project IS NOT DISTINCT FROM $project::VARCHAR
      AND runs.production = $production
    GROUP BY runs.age
)
SELECT max(age) FILTER (WHERE held <= $most)
FROM (SELECT age, sum(attempts) OVER (ORDER BY age) AS held FROM sizes)

-- The attempts of the newest run of chosen steps, those of a step after one another, in the order in which they began.
-- Goes after of_steps.sql.
, newest AS (
    SELECT place, run, owner
    FROM of_steps
    GROUP BY place, run, owner
    QUALIFY row_number() OVER (
        PARTITION BY place ORDER BY min(started_at) DESC NULLS LAST, run DESC, owner
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
FROM of_steps AS seen
JOIN newest
  ON seen.place = newest.place
 AND seen.run = newest.run
 AND seen.owner = newest.owner
ORDER BY newest.place, seen.started_at NULLS FIRST, seen.task, seen.attempt

-- What is new, step by step.
SELECT flow, step, count(DISTINCT run) AS runs, count(*) AS attempts
FROM fresh
GROUP BY flow, step
ORDER BY flow, min(started_at), step;

-- The newest first: a flow may have thousands.
SELECT run
FROM tasks
WHERE flow IN (${flow:sqlstring}) AND run IS NOT NULL
GROUP BY run
ORDER BY max(started_at) DESC
LIMIT 200

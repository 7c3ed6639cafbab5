-- Every flow and step that the view `tasks` has seen.
SELECT flow, step
FROM tasks
GROUP BY ALL
ORDER BY ALL

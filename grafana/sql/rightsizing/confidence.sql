SELECT coalesce(confidence, 'none') AS "Confidence", count(*) AS "Steps"
FROM recommendations
WHERE flow IN (${flow:sqlstring})
GROUP BY 1
ORDER BY "Steps" DESC

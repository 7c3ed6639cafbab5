SELECT $__timeGroup(time, $__interval) AS time, attributes ->> '$."stepsize.waiting.place"' AS metric, max(value) AS value
FROM points
WHERE day BETWEEN $__timeFrom()::TIMESTAMPTZ::DATE AND $__timeTo()::TIMESTAMPTZ::DATE
    AND $__timeFilter(time)
    AND metric = 'stepsize.agent.points.waiting'
GROUP BY 1, 2
ORDER BY 1, 2

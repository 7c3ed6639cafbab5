SELECT $__timeGroup(time, $__interval) AS time, CASE metric WHEN 'otelcol_process_memory_rss' THEN 'receivers' ELSE 'sink' END AS metric, max(value) AS value
FROM points
WHERE day BETWEEN $__timeFrom()::TIMESTAMPTZ::DATE AND $__timeTo()::TIMESTAMPTZ::DATE
    AND $__timeFilter(time)
    AND service = 'stepsize-collector'
    AND metric IN ('otelcol_process_memory_rss', 'stepsize_sink_memory_rss')
GROUP BY 1, 2
ORDER BY 1, 2

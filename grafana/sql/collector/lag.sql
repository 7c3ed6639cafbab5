SELECT $__timeGroup(time, $__interval) AS time, CASE metric WHEN 'stepsize_sink_lag' THEN 'lake' ELSE 'object store' END AS metric, max(value) AS value
FROM points
WHERE day BETWEEN $__timeFrom()::TIMESTAMPTZ::DATE AND $__timeTo()::TIMESTAMPTZ::DATE
    AND $__timeFilter(time)
    AND service = 'stepsize-collector'
    AND metric IN ('stepsize_sink_lag', 'stepsize_upload_lag')
GROUP BY 1, 2
ORDER BY 1, 2

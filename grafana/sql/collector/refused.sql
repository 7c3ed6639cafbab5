-- What each counter grew by from one reading to the next.
WITH told AS (
    SELECT
        time,
        CASE metric WHEN 'stepsize_wal_refused_requests' THEN 'no room in the log' ELSE attributes ->> '$.bound' END AS name,
        value,
        lag(value) OVER (PARTITION BY metric, resource::VARCHAR, attributes::VARCHAR, start_time ORDER BY time) AS before
    FROM points
    WHERE day BETWEEN $__timeFrom()::TIMESTAMPTZ::DATE AND $__timeTo()::TIMESTAMPTZ::DATE
        AND $__timeFilter(time)
        AND service = 'stepsize-collector'
        AND metric IN ('stepsize_receiver_refused_requests', 'stepsize_receiver_rejected_metric_points', 'stepsize_wal_refused_requests')
)
SELECT $__timeGroup(time, $__interval) AS time, name AS metric, sum(value - before) AS value
FROM told
WHERE before IS NOT NULL
GROUP BY 1, 2
ORDER BY 1, 2

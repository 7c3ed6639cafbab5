-- What each counter grew by from one reading to the next.
WITH told AS (
    SELECT
        time,
        CASE metric WHEN 'otelcol_receiver_accepted_metric_points' THEN 'taken' ELSE 'refused' END AS name,
        value,
        lag(value) OVER (PARTITION BY metric, resource::VARCHAR, attributes::VARCHAR, start_time ORDER BY time) AS before
    FROM points
    WHERE day BETWEEN $__timeFrom()::TIMESTAMPTZ::DATE AND $__timeTo()::TIMESTAMPTZ::DATE
        AND $__timeFilter(time)
        AND service = 'stepsize-collector'
        AND metric IN ('otelcol_receiver_accepted_metric_points', 'otelcol_receiver_refused_metric_points')
)
SELECT $__timeGroup(time, $__interval) AS time, name AS metric, sum(value - before) * 1000 / $__interval_ms AS value
FROM told
WHERE before IS NOT NULL
GROUP BY 1, 2
ORDER BY 1, 2

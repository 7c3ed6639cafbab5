-- What each counter grew by from one reading to the next. It is there from the first that it counts: before that reading it
-- was nothing, where its collector told of anything then, or began within the range.
WITH told AS (
    SELECT
        time, start_time, metric, value,
        resource::VARCHAR AS collector,
        attributes::VARCHAR AS series,
        {{ name }} AS name
    FROM points
    WHERE day BETWEEN $__timeFrom()::TIMESTAMPTZ::DATE AND $__timeTo()::TIMESTAMPTZ::DATE
        AND $__timeFilter(time)
        AND service = 'stepsize-collector'
        AND metric IN ('otelcol_receiver_accepted_metric_points', {{ metrics }})
), grown AS (
    SELECT
        time,
        metric,
        name,
        value - coalesce(
            lag(value) OVER (PARTITION BY metric, collector, series, start_time ORDER BY time),
            CASE
                WHEN start_time >= $__timeFrom()::TIMESTAMPTZ THEN 0
                WHEN time > min(time) OVER (PARTITION BY collector, start_time) THEN 0
            END
        ) AS value
    FROM told
)

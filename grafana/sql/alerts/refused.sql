-- A counter is there from its first refusal on: one that was not there ten minutes ago began at nothing.
WITH counted AS (
    SELECT
        service,
        resource ->> '$."service.instance.id"' AS collector,
        metric AS what,
        start_time,
        attributes::VARCHAR AS series,
        max(value) AS value,
        coalesce(max(value) FILTER (WHERE time < now() - INTERVAL 10 MINUTE), 0) AS earlier
    FROM points
    WHERE day >= (now() - INTERVAL 1 HOUR)::DATE
        AND time > now() - INTERVAL 1 HOUR
        AND service = 'stepsize-collector'
        AND metric IN (
            'otelcol_receiver_refused_metric_points', 'stepsize_receiver_refused_requests',
            'stepsize_wal_refused_requests', 'stepsize_wal_failed_syncs'
        )
    GROUP BY ALL
)
SELECT coalesce(collector, service) AS collector, what, sum(value - earlier)::DOUBLE AS value
FROM counted
GROUP BY 1, 2

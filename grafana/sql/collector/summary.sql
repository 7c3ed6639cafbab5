-- Each collector's newest reading of the last five minutes of the range.
WITH newest AS (
    SELECT
        metric,
        resource ->> '$."service.instance.id"' AS collector,
        attributes::VARCHAR AS series,
        arg_max(value, time) AS value
    FROM points
    WHERE day BETWEEN ($__timeTo()::TIMESTAMPTZ - INTERVAL 5 MINUTE)::DATE AND $__timeTo()::TIMESTAMPTZ::DATE
        AND time BETWEEN $__timeTo()::TIMESTAMPTZ - INTERVAL 5 MINUTE AND $__timeTo()::TIMESTAMPTZ
        AND service = 'stepsize-collector'
        AND metric IN (
            'otelcol_process_uptime', 'stepsize_sink_up', 'stepsize_sink_lag', 'stepsize_wal_stored_bytes',
            'otelcol_process_memory_rss', 'stepsize_sink_memory_rss'
        )
    GROUP BY ALL
)
SELECT
    count(DISTINCT collector) AS "Collectors",
    sum(value) FILTER (WHERE metric = 'stepsize_sink_up') AS "Sinks up",
    min(value) FILTER (WHERE metric = 'otelcol_process_uptime') AS "Up for",
    max(value) FILTER (WHERE metric = 'stepsize_sink_lag') AS "Behind",
    sum(value) FILTER (WHERE metric = 'stepsize_wal_stored_bytes') AS "In the log",
    sum(value) FILTER (WHERE metric IN ('otelcol_process_memory_rss', 'stepsize_sink_memory_rss')) AS "Memory"
FROM newest

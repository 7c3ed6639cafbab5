-- Gauges and sums. `day` is the directory's, so that a filter on it opens only the files it needs: the day of the time,
-- or of the arrival where the sender's clock was off by more than a bound.
CREATE VIEW lake.points AS
SELECT
    make_timestamptz(time_unix_nano // 1000) AS time,
    day,
    make_timestamptz(nullif(start_time_unix_nano, 0) // 1000) AS start_time,
    metric,
    unit,
    kind,
    coalesce(value_double, value_int::DOUBLE) AS value,
    value_int,
    flow,
    run,
    step,
    task,
    attempt,
    host,
    service,
    attributes::JSON AS attributes,
    resource::JSON AS resource,
    make_timestamptz(received_at_unix_nano // 1000) AS received_at
FROM {rows};

-- Of some attempts, whose names are nobody else's, each metric's highest value in each part of the window.
-- `time_unix_nano` is a stored column, so that files and row groups of other times are not read.
WITH wanted AS (
    SELECT
        unnest($places) AS place, unnest($flows) AS flow, unnest($runs) AS run, unnest($steps) AS step,
        unnest($tasks) AS task, unnest($attempts) AS attempt
),
found AS (
    SELECT
        flow, run, step, task, attempt, metric, (time_unix_nano - $since_ns) // $bucket_ns AS bucket,
        max(coalesce(value_double, value_int::DOUBLE)) AS value
    FROM exact_points
    WHERE day >= $day AND time_unix_nano >= $since_ns AND time_unix_nano < $until_ns
        AND isfinite(coalesce(value_double, value_int::DOUBLE))
        AND metric IN ($cpu, $memory)
        AND step IN (SELECT unnest($steps))
        AND (flow, run, step, task, attempt) IN (SELECT flow, run, step, task, attempt FROM wanted)
    GROUP BY ALL
)
SELECT place, metric, bucket, value
FROM found
JOIN wanted USING (flow, run, step, task, attempt);

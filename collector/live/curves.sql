-- The highest value of each part of the window, of some attempts. `time_unix_nano` is a stored column, so that files
-- and row groups of other times are not read.
SELECT
    flow, run, step, task, attempt, metric, (time_unix_nano - $since_ns) // $bucket_ns AS bucket,
    max(coalesce(value_double, value_int::DOUBLE))
FROM exact_points
WHERE day >= $day AND time_unix_nano >= $since_ns AND time_unix_nano < $until_ns
    AND isfinite(coalesce(value_double, value_int::DOUBLE))
    AND metric IN ($cpu, $memory)
    AND step IN (SELECT unnest($steps))
    AND (flow, run, step, task, attempt)
    IN (SELECT unnest($flows), unnest($runs), unnest($steps), unnest($tasks), unnest($attempts))
GROUP BY ALL;

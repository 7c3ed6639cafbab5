-- As curves.sql, of attempts that have GPUs, or whose names are not theirs alone. Of GPUs it is the sum over the devices
-- that are told apart. Attempts of one name have those points that say nothing else of deployment and host than they
-- do. It reads columns that are large and seldom needed.
WITH wanted AS (
    SELECT
        unnest($places) AS place, unnest($flows) AS flow, unnest($runs) AS run, unnest($steps) AS step,
        unnest($tasks) AS task, unnest($attempts) AS attempt, unnest($is_shared) AS is_shared,
        unnest($projects) AS project, unnest($branches) AS branch, unnest($users) AS "user", unnest($hosts) AS host
),
found AS (
    SELECT
        wanted.place, points.metric, (points.time_unix_nano - $since_ns) // $bucket_ns AS bucket,
        CASE WHEN points.metric IN ($gpu, $gpu_memory) THEN points.attributes ->> '$."hw.id"' END AS device,
        max(coalesce(points.value_double, points.value_int::DOUBLE)) AS value
    FROM exact_points AS points
    JOIN wanted USING (flow, run, step, task, attempt)
    WHERE points.day >= $day AND points.time_unix_nano >= $since_ns AND points.time_unix_nano < $until_ns
        AND isfinite(coalesce(points.value_double, points.value_int::DOUBLE))
        AND points.metric IN ($cpu, $memory, $gpu, $gpu_memory)
        AND points.step IN (SELECT unnest($steps))
        AND CASE
            WHEN wanted.is_shared THEN
                coalesce(points.host = wanted.host, true)
                AND coalesce(points.resource ->> '$."stepsize.project"' = wanted.project, true)
                AND coalesce(points.resource ->> '$."stepsize.branch"' = wanted.branch, true)
                AND coalesce(points.resource ->> '$."stepsize.user"' = wanted."user", true)
            ELSE true
        END
    GROUP BY ALL
)
SELECT place, metric, bucket, sum(value)
FROM found
GROUP BY ALL;

-- Of each quarter of a minute of the last fifteen: what was in use, and what was asked for and allowed, `most`. Each attempt
-- counts for the part of the time that it was there, so that ten short ones after another are one at a time; the quarter that
-- is not over is left out. What was asked for is a running sum of starts and ends, so that it costs no more with more tasks.
WITH span AS (
    SELECT time_bucket(INTERVAL 15 SECOND, now() - INTERVAL 15 MINUTE) AS begins
), attempts AS (
    SELECT
        flow, run, step, task, attempt, started_at,
        CASE WHEN outcome IS NOT NULL THEN ended_at END AS over_at,
        {{ asked }} AS asked,
        {{ most }} AS most
    FROM tasks
    WHERE ended_at > now() - INTERVAL 1 HOUR AND flow IN (${flow:sqlstring})
), told AS (
    SELECT
        flow, run, step, task, attempt, attributes::VARCHAR AS series,
        time_bucket(INTERVAL 15 SECOND, time) AS bucket,
        avg(value) AS value
    FROM points
    WHERE day >= (now() - INTERVAL 16 MINUTE)::DATE
        AND time >= time_bucket(INTERVAL 15 SECOND, now() - INTERVAL 15 MINUTE)
        AND time < time_bucket(INTERVAL 15 SECOND, now())
        AND metric = '{{ metric }}'
        AND flow IN (${flow:sqlstring})
    GROUP BY ALL
), used AS (
    SELECT
        bucket,
        sum(value * least(1, greatest(0, coalesce(
            extract(epoch FROM least(over_at, bucket + INTERVAL 15 SECOND) - greatest(started_at, bucket)) / 15, 1
        )))) AS value
    FROM told LEFT JOIN attempts USING (flow, run, step, task, attempt)
    GROUP BY bucket
), moments AS (
    SELECT greatest(started_at, begins) AS moment, asked, most FROM attempts, span
    UNION ALL
    SELECT greatest(over_at, begins) AS moment, -asked, -most FROM attempts, span WHERE over_at IS NOT NULL
), parts AS (
    SELECT
        time_bucket(INTERVAL 15 SECOND, moment) AS bucket,
        1 - extract(epoch FROM moment - time_bucket(INTERVAL 15 SECOND, moment)) / 15 AS share,
        asked,
        most
    FROM moments
), changes AS (
    SELECT bucket, share * asked AS asked, share * most AS most FROM parts
    UNION ALL
    SELECT bucket + INTERVAL 15 SECOND, (1 - share) * asked, (1 - share) * most FROM parts
    UNION ALL
    SELECT bucket, NULL, NULL FROM used
), held AS (
    SELECT
        bucket,
        nullif(round(sum(sum(asked)) OVER (ORDER BY bucket), 3), 0) AS asked,
        nullif(round(sum(sum(most)) OVER (ORDER BY bucket), 3), 0) AS most
    FROM changes
    GROUP BY bucket
)

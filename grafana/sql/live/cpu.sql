-- What was asked for is a running sum of starts and ends, so that it costs no more with more tasks at a time.
WITH moments AS (
    SELECT time_bucket(INTERVAL 15 SECOND, time) AS bucket, avg(value) AS value
    FROM points
    WHERE day >= (now() - INTERVAL 15 MINUTE)::DATE
        AND time > now() - INTERVAL 15 MINUTE
        AND metric = 'stepsize.task.cpu.usage'
        AND flow IN (${flow:sqlstring})
    GROUP BY bucket, flow, run, step, task, attempt, attributes::VARCHAR
), used AS (
    SELECT bucket, sum(value) AS value FROM moments GROUP BY bucket
), there AS (
    SELECT started_at, CASE WHEN outcome IS NOT NULL THEN ended_at END AS ended_at, requested_cpu AS asked
    FROM tasks
    WHERE ended_at > now() - INTERVAL 15 MINUTE AND flow IN (${flow:sqlstring})
), changes AS (
    SELECT time_bucket(INTERVAL 15 SECOND, greatest(started_at, now() - INTERVAL 15 MINUTE)) AS bucket, asked FROM there
    UNION ALL
    SELECT time_bucket(INTERVAL 15 SECOND, ended_at + INTERVAL 15 SECOND) AS bucket, -asked FROM there WHERE ended_at IS NOT NULL
    UNION ALL
    SELECT bucket, 0 FROM used
), held AS (
    SELECT bucket, sum(sum(asked)) OVER (ORDER BY bucket) AS asked
    FROM changes
    GROUP BY bucket
)
SELECT bucket AS time, used.value AS "in use", asked AS "asked for"
FROM held JOIN used USING (bucket)
ORDER BY time

-- Running attempts and each one's newest reading of the last minute. By now(), so that all viewers ask the same.
{% include 'shared/running.sql' %}
, newest AS (
    SELECT flow, run, step, task, attempt, metric, arg_max(value, time) AS value
    FROM points
    WHERE day >= (now() - INTERVAL 1 MINUTE)::DATE
        AND time > now() - INTERVAL 1 MINUTE
        AND metric IN ('stepsize.task.cpu.usage', 'stepsize.task.memory.usage', 'stepsize.task.gpu.utilization')
        AND flow IN (${flow:sqlstring})
    GROUP BY flow, run, step, task, attempt, metric, attributes::VARCHAR
), used AS (
    SELECT metric, sum(value) AS value FROM newest SEMI JOIN running USING (flow, run, step, task, attempt) GROUP BY metric
)
SELECT
    count(*) AS "Running tasks",
    (SELECT value FROM used WHERE metric = 'stepsize.task.cpu.usage') AS "Cores in use",
    sum(requested_cpu) AS "Cores asked for",
    (SELECT value FROM used WHERE metric = 'stepsize.task.memory.usage') AS "Memory in use",
    sum(requested_memory_bytes)::DOUBLE AS "Memory asked for",
    (SELECT value FROM used WHERE metric = 'stepsize.task.gpu.utilization') AS "GPUs busy",
    sum(coalesce(requested_gpu, gpu_count)) AS "GPUs held"
FROM running

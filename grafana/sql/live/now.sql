-- Each running attempt's newest reading of the last minute. By now(), so that all viewers ask the same.
WITH running AS (
    SELECT requested_cpu, requested_memory_bytes, requested_gpu
    FROM tasks
    WHERE outcome IS NULL AND flow IN (${flow:sqlstring})
), newest AS (
    SELECT metric, arg_max(value, time) AS value
    FROM points
    WHERE day >= (now() - INTERVAL 1 MINUTE)::DATE
        AND time > now() - INTERVAL 1 MINUTE
        AND metric IN (
            'stepsize.task.cpu.usage', 'stepsize.task.memory.usage', 'stepsize.task.gpu.utilization',
            'stepsize.task.gpu.count'
        )
        AND flow IN (${flow:sqlstring})
    GROUP BY metric, flow, run, step, task, attempt, attributes::VARCHAR
)
SELECT
    (SELECT count(*) FROM running) AS "Running tasks",
    sum(value) FILTER (WHERE metric = 'stepsize.task.cpu.usage') AS "Cores in use",
    (SELECT sum(requested_cpu) FROM running) AS "Cores asked for",
    sum(value) FILTER (WHERE metric = 'stepsize.task.memory.usage') AS "Memory in use",
    (SELECT sum(requested_memory_bytes)::DOUBLE FROM running) AS "Memory asked for",
    sum(value) FILTER (WHERE metric = 'stepsize.task.gpu.utilization') AS "GPUs busy",
    coalesce(
        (SELECT sum(requested_gpu) FROM running),
        sum(value) FILTER (WHERE metric = 'stepsize.task.gpu.count')
    ) AS "GPUs held"
FROM newest

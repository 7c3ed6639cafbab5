-- Those nearest to what would kill them first.
{% include 'shared/running.sql' %}
, newest AS (
    SELECT
        flow, run, step, task, attempt,
        arg_max(value, time) FILTER (WHERE metric = 'stepsize.task.cpu.usage') AS cores,
        arg_max(value, time) FILTER (WHERE metric = 'stepsize.task.memory.usage') AS memory_bytes
    FROM points
    WHERE day >= (now() - INTERVAL 1 MINUTE)::DATE
        AND time > now() - INTERVAL 1 MINUTE
        AND metric IN ('stepsize.task.cpu.usage', 'stepsize.task.memory.usage')
        AND flow IN (${flow:sqlstring})
    GROUP BY flow, run, step, task, attempt
)
SELECT
    flow AS "Flow",
    run AS "Run",
    step AS "Step",
    task AS "Task",
    extract(epoch FROM now() - started_at)::DOUBLE AS "Running for",
    cores AS "Cores",
    requested_cpu AS "Cores asked for",
    memory_bytes AS "Memory",
    memory_peak_bytes::DOUBLE AS "Peak",
    holds_bytes AS "May hold",
    memory_peak_bytes / nullif(holds_bytes, 0) AS "Of what it may hold",
    gpu_count AS "GPUs",
    host AS "Host"
FROM running LEFT JOIN newest USING (flow, run, step, task, attempt)
ORDER BY "Of what it may hold" DESC NULLS LAST, "Running for" DESC
LIMIT 100

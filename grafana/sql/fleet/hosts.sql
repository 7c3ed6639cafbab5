-- Packing: what attempts that run there now asked for, of what the host has.
WITH running AS (
    SELECT host, count(*) AS tasks, sum(requested_cpu) AS cores, sum(requested_memory_bytes)::DOUBLE AS memory_bytes
    FROM tasks
    WHERE outcome IS NULL AND ended_at > now() - INTERVAL 1 HOUR  -- as in Live
    GROUP BY host
), told AS (
    SELECT
        host,
        max(time) AS seen,
        arg_max(resource, time) ->> '$."host.type"' AS kind,  -- of one row: a million texts of JSON take seconds
        arg_max(value, time) FILTER (WHERE metric = 'system.cpu.logical.count') AS cores,
        1 - avg(value) FILTER (WHERE metric = 'system.cpu.utilization') AS busy,
        arg_max(value, time) FILTER (WHERE metric = 'system.memory.limit') AS memory_bytes,
        max(value) FILTER (WHERE metric = 'system.memory.usage') AS peak_bytes
    FROM points
    WHERE day BETWEEN $__timeFrom()::TIMESTAMPTZ::DATE AND $__timeTo()::TIMESTAMPTZ::DATE
        AND $__timeFilter(time)
        AND (
            metric IN ('system.cpu.logical.count', 'system.memory.limit')
            OR metric = 'system.memory.usage' AND attributes ->> '$."system.memory.state"' = 'used'
            OR metric = 'system.cpu.utilization' AND attributes ->> '$."cpu.mode"' = 'idle'
        )
    GROUP BY host
)
SELECT
    told.host AS "Host",
    kind AS "Type",
    told.cores AS "Cores",
    busy AS "Cores busy, mean",
    told.memory_bytes AS "Memory",
    peak_bytes / nullif(told.memory_bytes, 0) AS "Memory used, most",
    coalesce(tasks, 0) AS "Tasks now",
    running.cores / nullif(told.cores, 0) AS "Cores asked for now",
    running.memory_bytes / nullif(told.memory_bytes, 0) AS "Memory asked for now",
    seen AS "Seen"
FROM told LEFT JOIN running USING (host)
ORDER BY busy NULLS LAST
LIMIT 500

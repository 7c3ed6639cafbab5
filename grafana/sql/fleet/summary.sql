-- Each host's newest readings of the last five minutes of the range.
WITH newest AS (
    SELECT metric, host, attributes::VARCHAR AS series, arg_max(value, time) AS value
    FROM points
    WHERE day BETWEEN ($__timeTo()::TIMESTAMPTZ - INTERVAL 5 MINUTE)::DATE AND $__timeTo()::TIMESTAMPTZ::DATE
        AND time BETWEEN $__timeTo()::TIMESTAMPTZ - INTERVAL 5 MINUTE AND $__timeTo()::TIMESTAMPTZ
        AND (
            metric IN ('system.cpu.logical.count', 'system.memory.limit', 'hw.gpu.utilization')
            OR metric = 'system.memory.usage' AND attributes ->> '$."system.memory.state"' = 'used'
            OR metric = 'system.cpu.utilization' AND attributes ->> '$."cpu.mode"' = 'idle'
        )
    GROUP BY ALL
), hosts AS (
    SELECT
        host,
        max(value) FILTER (WHERE metric = 'system.cpu.logical.count') AS cores,
        1 - max(value) FILTER (WHERE metric = 'system.cpu.utilization') AS busy,
        max(value) FILTER (WHERE metric = 'system.memory.limit') AS memory_bytes,
        max(value) FILTER (WHERE metric = 'system.memory.usage') AS used_bytes,
        count(*) FILTER (WHERE metric = 'hw.gpu.utilization') AS gpus,
        count(*) FILTER (WHERE metric = 'hw.gpu.utilization' AND value < 0.05) AS idle_gpus
    FROM newest
    GROUP BY host
)
SELECT
    count(*) AS "Hosts",
    sum(cores) AS "Cores",
    sum(cores * busy) / nullif(sum(cores) FILTER (WHERE busy IS NOT NULL), 0) AS "Cores busy",
    sum(memory_bytes) AS "Memory",
    sum(used_bytes) / nullif(sum(memory_bytes) FILTER (WHERE used_bytes IS NOT NULL), 0) AS "Memory used",
    sum(gpus)::DOUBLE AS "GPUs",
    sum(idle_gpus)::DOUBLE AS "GPUs idle"
FROM hosts

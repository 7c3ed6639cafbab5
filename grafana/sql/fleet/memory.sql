WITH told AS (
    SELECT
        $__timeGroup(time, $__interval) AS bucket,
        host,
        avg(value) FILTER (WHERE metric = 'system.memory.usage') AS used_bytes,
        avg(value) FILTER (WHERE metric = 'system.memory.limit') AS memory_bytes
    FROM points
    WHERE day BETWEEN $__timeFrom()::TIMESTAMPTZ::DATE AND $__timeTo()::TIMESTAMPTZ::DATE
        AND $__timeFilter(time)
        AND (
            metric = 'system.memory.limit'
            OR metric = 'system.memory.usage' AND attributes ->> '$."system.memory.state"' = 'used'
        )
    GROUP BY 1, 2
)
SELECT bucket AS time, sum(used_bytes) AS "in use", sum(memory_bytes) AS "there"
FROM told
GROUP BY bucket
ORDER BY bucket

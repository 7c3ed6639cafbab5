SELECT
    host AS "Host",
    attributes ->> '$."hw.name"' AS "GPU",
    attributes ->> '$."hw.id"' AS "Device",
    avg(value) FILTER (WHERE metric = 'hw.gpu.utilization') AS "Busy, mean",
    avg((value < 0.05)::INTEGER) FILTER (WHERE metric = 'hw.gpu.utilization') AS "Idle, of the time",
    max(value) FILTER (WHERE metric = 'hw.gpu.memory.usage') AS "Memory, most",
    max(value) FILTER (WHERE metric = 'hw.gpu.memory.limit') AS "Memory",
    max(time) AS "Seen"
FROM points
WHERE day BETWEEN $__timeFrom()::TIMESTAMPTZ::DATE AND $__timeTo()::TIMESTAMPTZ::DATE
    AND $__timeFilter(time)
    AND metric IN ('hw.gpu.utilization', 'hw.gpu.memory.usage', 'hw.gpu.memory.limit')
GROUP BY host, attributes ->> '$."hw.name"', attributes ->> '$."hw.id"'
ORDER BY "Busy, mean" NULLS LAST
LIMIT 500

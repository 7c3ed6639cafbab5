-- By host first: hosts tell different numbers of points in an interval.
WITH told AS (
    SELECT
        $__timeGroup(time, $__interval) AS bucket,
        host,
        avg(value) FILTER (WHERE metric = 'system.cpu.logical.count') AS cores,
        1 - avg(value) FILTER (WHERE metric = 'system.cpu.utilization') AS busy
    FROM points
    WHERE day BETWEEN $__timeFrom()::TIMESTAMPTZ::DATE AND $__timeTo()::TIMESTAMPTZ::DATE
        AND $__timeFilter(time)
        AND (
            metric = 'system.cpu.logical.count'
            OR metric = 'system.cpu.utilization' AND attributes ->> '$."cpu.mode"' = 'idle'
        )
    GROUP BY 1, 2
)
SELECT bucket AS time, sum(cores * busy) AS "in use", sum(cores) AS "there"
FROM told
GROUP BY bucket
ORDER BY bucket

-- Sums of each agent's life: the most that each told in the range.
WITH told AS (
    SELECT host, attributes ->> '$."stepsize.loss.reason"' AS reason, start_time, max(value) AS lost, max(time) AS seen
    FROM points
    WHERE day BETWEEN $__timeFrom()::TIMESTAMPTZ::DATE AND $__timeTo()::TIMESTAMPTZ::DATE
        AND $__timeFilter(time)
        AND metric = 'stepsize.agent.points.lost'
    GROUP BY ALL
)
SELECT host AS "Host", reason AS "Why", sum(lost) AS "Points", max(seen) AS "Last told"
FROM told
GROUP BY host, reason
HAVING sum(lost) > 0
ORDER BY "Points" DESC
LIMIT 200

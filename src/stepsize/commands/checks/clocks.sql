-- Hosts whose clocks are not the collector's, by what came in the last ten minutes: a point that was there before it was
-- measured comes from a clock that is ahead; where even the newest is old, the clock is behind (or a spool is emptied).
SELECT
    host,
    max(epoch(time) - epoch(received_at)) AS ahead_s
FROM points
WHERE time > now() - INTERVAL 1 HOUR AND received_at > now() - INTERVAL 10 MINUTE AND host IS NOT NULL
GROUP BY host
HAVING ahead_s > 5 OR ahead_s < -60
ORDER BY abs(ahead_s) DESC, host
LIMIT 3

-- Thirty equal parts from the least to the highest peak.
WITH chosen AS (
    SELECT memory_peak_bytes::DOUBLE AS peak
    FROM tasks
    WHERE flow IN (${flow:sqlstring}) AND step IN (${step:sqlstring}) AND run IN (${run:sqlstring})
        AND $__timeFilter(started_at) AND memory_peak_bytes IS NOT NULL
), ends AS (
    SELECT min(peak) AS least, greatest((max(peak) - min(peak)) / 30, 1e6) AS width FROM chosen
), parts AS (
    SELECT least(floor((peak - least) / width), 29) AS part, count(*) AS attempts
    FROM chosen, ends
    GROUP BY part
)
SELECT
    format('{:.0f} MB', (least + (each.part + 1) * width) / 1e6) AS "Peak up to",
    coalesce(attempts, 0) AS "Attempts"
FROM ends, (SELECT unnest(range(30)) AS part) AS each LEFT JOIN parts ON parts.part = each.part
WHERE each.part <= (SELECT max(part) FROM parts)
ORDER BY each.part

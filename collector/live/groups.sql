-- Steps with running attempts, the newest first.
SELECT
    flow, run, step, count(*), count(DISTINCT host), min(started_at), sum(cpu_mean), max(memory_peak_bytes),
    max(memory_share)
FROM running
GROUP BY flow, run, step
ORDER BY max(started_at) DESC NULLS LAST, flow, run, step
LIMIT $limit OFFSET $offset;

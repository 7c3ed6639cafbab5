-- Running attempts, and those that ended within the hour.
SELECT
    flow,
    step,
    max(memory_peak_bytes / least(requested_memory_bytes, memory_limit_bytes)::DOUBLE) AS value
FROM tasks
WHERE ended_at > now() - INTERVAL 1 HOUR AND least(requested_memory_bytes, memory_limit_bytes) > 0
GROUP BY flow, step
HAVING max(memory_peak_bytes) IS NOT NULL

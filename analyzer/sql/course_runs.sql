-- How chosen steps did over their runs, in at most $columns columns a step: neighbouring runs in equal numbers, counted
-- from the newest back, so that of the oldest column alone runs may be missing. What cannot be in a column of numbers
-- (see evidence.sql) is left out. Sums are of whole numbers, so that no order of rows changes one.
-- Parameters beside those of seen.sql: $flows, $steps, $projects, $productions (lists of equal length), $columns.
, wanted AS (
    SELECT
        unnest($flows::VARCHAR[]) AS flow,
        unnest($steps::VARCHAR[]) AS step,
        unnest($projects::VARCHAR[]) AS project,
        unnest($productions::BOOLEAN[]) AS production,
        unnest(range(len($flows::VARCHAR[]))) AS place
),
by_run AS (
    SELECT
        wanted.place,
        seen.run,
        seen.owner,
        min(seen.started_at) AS began_at,
        count(*) AS attempts,
        count(*) FILTER (outcome IS NULL) AS running,
        count(*) FILTER (outcome = 'oom') AS oom,
        count(*) FILTER (outcome = 'failed') AS failed,
        count(*) FILTER (outcome = 'killed') AS killed,
        count(*) FILTER (outcome = 'lost') AS lost,
        count(*) FILTER (outcome = 'unknown') AS unknown,
        min(memory_peak_bytes) FILTER (outcome IS NOT NULL AND memory_peak_bytes >= 0) AS memory_low,
        sum(memory_peak_bytes) FILTER (outcome IS NOT NULL AND memory_peak_bytes >= 0) AS memory_sum,
        count(*) FILTER (outcome IS NOT NULL AND memory_peak_bytes >= 0) AS memory_count,
        max(memory_peak_bytes) FILTER (outcome IS NOT NULL AND memory_peak_bytes >= 0) AS memory_high,
        sum((cpu_seconds * 1000)::BIGINT) FILTER (
            outcome IS NOT NULL AND cpu_seconds BETWEEN 0 AND 1e12 AND duration_s BETWEEN 0 AND 1e12
        ) AS cpu_ms,
        sum((duration_s * 1000)::BIGINT) FILTER (
            outcome IS NOT NULL AND cpu_seconds BETWEEN 0 AND 1e12 AND duration_s BETWEEN 0 AND 1e12
        ) AS cpu_over_ms,
        max(cpu_max) FILTER (outcome IS NOT NULL AND cpu_max BETWEEN 0 AND 1e15) AS cpu_high,
        min(duration_s) FILTER (outcome = 'ok' AND duration_s BETWEEN 0 AND 1e12) AS duration_low,
        sum((duration_s * 1000)::BIGINT) FILTER (outcome = 'ok' AND duration_s BETWEEN 0 AND 1e12) AS duration_ms,
        count(*) FILTER (outcome = 'ok' AND duration_s BETWEEN 0 AND 1e12) AS duration_count,
        max(duration_s) FILTER (outcome = 'ok' AND duration_s BETWEEN 0 AND 1e12) AS duration_high,
        max(requested_memory_bytes) FILTER (attempt = 0 AND requested_memory_bytes > 0) AS asked_memory,
        max(requested_cpu) FILTER (attempt = 0 AND requested_cpu > 0 AND requested_cpu < 1e15) AS asked_cpu
    FROM seen
    JOIN wanted
      ON seen.project IS NOT DISTINCT FROM wanted.project
     AND seen.production = wanted.production
     AND seen.flow = wanted.flow
     AND seen.step = wanted.step
    GROUP BY ALL
),
aged AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY place ORDER BY began_at DESC NULLS LAST, run DESC, owner) - 1 AS age,
        count(*) OVER (PARTITION BY place) AS in_all
    FROM by_run
)
SELECT
    place,
    count(*) AS runs,
    arg_max(run, age) AS first_run,
    arg_min(run, age) AS last_run,
    epoch(min(began_at)) AS first_s,
    epoch(max(began_at)) AS last_s,
    sum(attempts)::BIGINT AS attempts,
    sum(running)::BIGINT AS running,
    sum(oom)::BIGINT AS oom,
    sum(failed)::BIGINT AS failed,
    sum(killed)::BIGINT AS killed,
    sum(lost)::BIGINT AS lost,
    sum(unknown)::BIGINT AS unknown,
    min(memory_low)::DOUBLE AS memory_low,
    (sum(memory_sum) / sum(memory_count))::DOUBLE AS memory_mean,
    max(memory_high)::DOUBLE AS memory_high,
    (sum(cpu_ms) / nullif(sum(cpu_over_ms), 0))::DOUBLE AS cpu_mean,
    max(cpu_high)::DOUBLE AS cpu_high,
    min(duration_low)::DOUBLE AS duration_low,
    (sum(duration_ms) / 1000 / sum(duration_count))::DOUBLE AS duration_mean,
    max(duration_high)::DOUBLE AS duration_high,
    arg_min(asked_memory, age)::DOUBLE AS asked_memory,
    arg_min(asked_cpu, age)::DOUBLE AS asked_cpu
FROM aged
GROUP BY place, age // ceil(in_all / $columns)::BIGINT
ORDER BY place, max(age) DESC

-- How chosen steps did over their runs, in at most $columns columns a step: neighbouring runs in equal numbers, counted
-- from the newest back, so that of the oldest column alone runs may be missing. What cannot be in a column of numbers
-- (see evidence.sql) is left out. Sums are of whole numbers, so that no order of rows changes one.
-- Goes after of_steps.sql; $columns beside its parameters.
, clean AS (
    SELECT
        seen.place,
        seen.run,
        seen.owner,
        if(isfinite(seen.started_at), seen.started_at, NULL) AS started_at,
        seen.attempt,
        seen.outcome,
        seen.outcome IS NOT NULL AS ended,
        if(seen.memory_peak_bytes >= 0, seen.memory_peak_bytes, NULL) AS memory,
        if(seen.cpu_seconds BETWEEN 0 AND 1e12, TRY_CAST(seen.cpu_seconds * 1000 AS BIGINT), NULL) AS cpu_ms,
        if(seen.cpu_max BETWEEN 0 AND 1e12, seen.cpu_max, NULL) AS cpu_max,
        if(seen.duration_s BETWEEN 0 AND 1e12, seen.duration_s, NULL) AS duration_s,
        if(seen.duration_s BETWEEN 0 AND 1e12, TRY_CAST(seen.duration_s * 1000 AS BIGINT), NULL) AS duration_ms,
        if(seen.requested_memory_bytes > 0, seen.requested_memory_bytes, NULL) AS asked_memory,
        if(seen.requested_cpu > 0 AND seen.requested_cpu < 1e12, seen.requested_cpu, NULL) AS asked_cpu
    FROM of_steps AS seen
),
by_run AS (
    SELECT
        place,
        run,
        owner,
        min(started_at) AS began_at,
        count(*) AS attempts,
        count(*) FILTER (NOT ended) AS running,
        count(*) FILTER (outcome = 'oom') AS oom,
        count(*) FILTER (outcome = 'failed') AS failed,
        count(*) FILTER (outcome = 'killed') AS killed,
        count(*) FILTER (outcome = 'lost') AS lost,
        count(*) FILTER (outcome = 'unknown') AS unknown,
        min(memory) FILTER (ended) AS memory_low,
        sum(memory) FILTER (ended) AS memory_sum,
        count(memory) FILTER (ended) AS memory_count,
        max(memory) FILTER (ended) AS memory_high,
        sum(cpu_ms) FILTER (ended AND duration_ms IS NOT NULL) AS cpu_ms,
        sum(duration_ms) FILTER (ended AND cpu_ms IS NOT NULL) AS cpu_over_ms,
        max(cpu_max) FILTER (ended) AS cpu_high,
        min(duration_s) FILTER (outcome = 'ok') AS duration_low,
        sum(duration_ms) FILTER (outcome = 'ok') AS duration_ms,
        count(duration_ms) FILTER (outcome = 'ok') AS duration_count,
        max(duration_s) FILTER (outcome = 'ok') AS duration_high,
        max(asked_memory) FILTER (attempt = 0) AS asked_memory,
        max(asked_cpu) FILTER (attempt = 0) AS asked_cpu
    FROM clean
    GROUP BY place, run, owner
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

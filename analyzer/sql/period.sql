-- What the attempts that ended in a period tell of each of the `steps`, beside those that ended before it. Goes on from
-- seen.sql. Parameters: $from_s < end <= $until_s (epoch), $sample (tasks of a side whose peaks are listed),
-- $still_near (the share of what holds an attempt from which on it counts as near).
-- Numbers that cannot be (rows may come from elsewhere than a collector of ours) are not known.
, told AS (
    SELECT
        steps.number,
        epoch(coalesce(seen.ended_at, seen.started_at)) AS end_s,
        end_s > $from_s AS is_recent,
        seen.outcome,
        seen.run,
        seen.owner,
        seen.task,
        seen.attempt,
        seen.started_at,
        seen.code_version,
        if(seen.duration_s BETWEEN 0 AND 1e15, seen.duration_s, NULL) AS duration_s,
        if(seen.memory_peak_bytes >= 0, seen.memory_peak_bytes, NULL)::DOUBLE AS memory_bytes,
        if(seen.disk_peak_bytes >= 0, seen.disk_peak_bytes, NULL)::DOUBLE AS disk_bytes,
        if(seen.memory_limit_bytes > 0, seen.memory_limit_bytes, NULL)::DOUBLE AS limit_bytes,
        if(seen.requested_memory_bytes > 0, seen.requested_memory_bytes, NULL)::DOUBLE AS asked_memory_bytes,
        if(seen.requested_disk_bytes > 0, seen.requested_disk_bytes, NULL)::DOUBLE AS asked_disk_bytes,
        if(seen.requested_timeout_s > 0 AND seen.requested_timeout_s < 1e15, seen.requested_timeout_s, NULL) AS timeout_s,
        if(seen.requested_cpu > 0 AND seen.requested_cpu < 1e15, seen.requested_cpu, NULL) AS asked_cpu,
        if(seen.requested_gpu BETWEEN 0 AND 1e15, seen.requested_gpu, NULL) AS asked_gpu
    FROM seen
    JOIN steps
      ON seen.project IS NOT DISTINCT FROM steps.project
     AND seen.production = steps.production
     AND seen.flow = steps.flow
     AND seen.step = steps.step
    WHERE seen.outcome IS NOT NULL
      AND coalesce(seen.ended_at, seen.started_at) IS NOT NULL
      AND epoch(coalesce(seen.ended_at, seen.started_at)) <= $until_s
),
tallies AS (
    SELECT
        number,
        max(end_s) AS newest_s,
        count(*) FILTER (is_recent) AS attempts,
        count(*) FILTER (is_recent AND outcome = 'oom') AS oom,
        count(*) FILTER (is_recent AND outcome = 'failed') AS failed,
        count(*) FILTER (is_recent AND outcome = 'killed') AS killed,
        count(*) FILTER (is_recent AND outcome = 'lost') AS lost,
        count(*) FILTER (NOT is_recent) AS attempts_before,
        count(*) FILTER (NOT is_recent AND outcome = 'oom') AS oom_before,
        count(*) FILTER (NOT is_recent AND outcome IN ('failed', 'killed', 'lost')) AS failed_before,
        max(memory_bytes) FILTER (NOT is_recent AND outcome = 'ok') AS memory_before,
        max(disk_bytes) FILTER (NOT is_recent AND outcome = 'ok') AS disk_before,
        max(duration_s) FILTER (NOT is_recent AND outcome = 'ok') AS duration_before,
        -- As the report counts waste: what did not end well had all of its request for nothing.
        sum(greatest(0, asked_memory_bytes - if(outcome = 'ok', memory_bytes, 0)) * duration_s) FILTER (
            is_recent AND memory_bytes IS NOT NULL
        ) AS wasted_byte_s
    FROM told
    GROUP BY number
),
-- What the newest first attempt asked for: peaks under an older request say nothing of today's.
newest AS (
    SELECT number, asked_memory_bytes, limit_bytes, asked_disk_bytes, timeout_s
    FROM told
    QUALIFY row_number() OVER (
        PARTITION BY number ORDER BY attempt = 0 DESC, started_at DESC NULLS LAST, run DESC, owner DESC, task DESC
    ) = 1
),
well AS (
    SELECT
        told.*,
        least(told.asked_memory_bytes, told.limit_bytes) AS memory_bound,
        -- Ended tasks in their order; what ended at once has one place.
        rank() OVER (PARTITION BY told.number ORDER BY told.end_s) AS place
    FROM told
    JOIN newest
      ON told.number = newest.number
     AND told.asked_memory_bytes IS NOT DISTINCT FROM newest.asked_memory_bytes
     AND told.limit_bytes IS NOT DISTINCT FROM newest.limit_bytes
     AND told.asked_disk_bytes IS NOT DISTINCT FROM newest.asked_disk_bytes
     AND told.timeout_s IS NOT DISTINCT FROM newest.timeout_s
    WHERE told.outcome = 'ok'
),
uses AS (
    SELECT number, is_recent, place, run, task, 'memory' AS what, memory_bytes AS used, memory_bound AS bound FROM well
    UNION ALL
    SELECT number, is_recent, place, run, task, 'disk', disk_bytes, asked_disk_bytes FROM well
    UNION ALL
    SELECT number, is_recent, place, run, task, 'duration', duration_s, timeout_s FROM well
),
-- The last one of each that was near counts, how many there were by then, and how many came after it.
nearness AS (
    SELECT *, max(place) FILTER (used >= $still_near * bound) OVER (PARTITION BY number, what) AS last_near
    FROM uses
    WHERE used IS NOT NULL AND bound IS NOT NULL
),
nearest AS (
    SELECT
        number,
        what,
        arg_max({used: used, bound: bound, run: run, task: task}, used / bound) FILTER (is_recent) AS found,
        count(*) FILTER (used >= $still_near * bound) AS near,
        count(*) FILTER (place <= last_near) AS until_near,
        count(*) FILTER (place > last_near) AS calm
    FROM nearness
    GROUP BY number, what
),
bounds AS (
    SELECT
        number,
        any_value({
            used: found.used, bound: found.bound, run: found.run, task: found.task,
            near: near, until_near: until_near, calm: calm
        }) FILTER (what = 'memory' AND found IS NOT NULL) AS memory,
        any_value({
            used: found.used, bound: found.bound, run: found.run, task: found.task,
            near: near, until_near: until_near, calm: calm
        }) FILTER (what = 'disk' AND found IS NOT NULL) AS disk,
        any_value({
            used: found.used, bound: found.bound, run: found.run, task: found.task,
            near: near, until_near: until_near, calm: calm
        }) FILTER (what = 'duration' AND found IS NOT NULL) AS duration
    FROM nearest
    GROUP BY number
),
held AS (
    SELECT
        number,
        list({cpu: cpu, memory_bytes: memory_bytes, gpu: gpu, hours: hours} ORDER BY cpu, memory_bytes, gpu) AS held
    FROM (
        SELECT
            number,
            asked_cpu AS cpu,
            asked_memory_bytes AS memory_bytes,
            asked_gpu AS gpu,
            sum(duration_s) / 3600 AS hours
        FROM told
        WHERE is_recent AND duration_s IS NOT NULL
        GROUP BY ALL
    )
    GROUP BY number
),
versions AS (
    SELECT number, code_version, min(started_at) AS began_at, bool_or(is_recent) AS is_recent
    FROM told
    WHERE code_version IS NOT NULL AND started_at IS NOT NULL
    GROUP BY number, code_version
),
-- The version that began last; of two at once the later name, so that the answer stays the same.
latest AS (
    SELECT number, code_version, began_at
    FROM versions
    QUALIFY is_recent AND row_number() OVER (PARTITION BY number ORDER BY began_at DESC, code_version DESC) = 1
),
peaks AS (
    SELECT
        told.number,
        told.code_version,
        told.run,
        told.owner,
        told.code_version = latest.code_version AS is_latest,
        max(told.memory_bytes) AS peak_bytes,
        min(told.started_at) AS began_at,
        row_number() OVER (
            PARTITION BY told.number, told.code_version = latest.code_version
            ORDER BY min(told.started_at) DESC, told.run, told.owner, told.task
        ) AS age
    FROM told
    JOIN latest ON told.number = latest.number
    WHERE told.outcome = 'ok'
      AND told.memory_bytes > 0
      AND (told.code_version = latest.code_version OR told.started_at < latest.began_at)
      AND told.code_version IS NOT NULL
    GROUP BY told.number, told.code_version, latest.code_version, told.run, told.owner, told.task
),
sides AS (
    SELECT
        number,
        is_latest,
        run,
        owner,
        min(began_at) AS began_at,
        list(peak_bytes) AS run_peaks,
        list(DISTINCT code_version) AS run_versions
    FROM peaks
    WHERE age <= $sample
    GROUP BY number, is_latest, run, owner
),
grown AS (
    SELECT
        number,
        max(run_versions[1]) FILTER (is_latest) AS version,
        list(run_peaks ORDER BY began_at, run, owner) FILTER (is_latest) AS peaks,
        list(run_peaks ORDER BY began_at, run, owner) FILTER (NOT is_latest) AS peaks_before,
        len(list_distinct(flatten(list(run_versions) FILTER (NOT is_latest)))) AS versions_before
    FROM sides
    GROUP BY number
)
SELECT
    steps.project,
    steps.production,
    steps.flow,
    steps.step,
    tallies.* EXCLUDE (number),
    bounds.memory,
    bounds.disk,
    bounds.duration,
    coalesce(held.held, []) AS held,
    grown.version,
    coalesce(grown.peaks, []) AS peaks,
    coalesce(grown.peaks_before, []) AS peaks_before,
    coalesce(grown.versions_before, 0) AS versions_before
FROM steps
JOIN tallies ON steps.number = tallies.number
LEFT JOIN bounds ON steps.number = bounds.number
LEFT JOIN held ON steps.number = held.number
LEFT JOIN grown ON steps.number = grown.number
ORDER BY steps.number

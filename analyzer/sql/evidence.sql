-- One row per history (project, production or not, flow, step) of the view `tasks`: its attempts in the order in which
-- they began, and the seconds spent in each bucket of cores, added up over all that ended.
-- Parameters, NULL where there is no such filter: $flow, $step, $branch (a glob), $origin, $since_s (epoch), $runs.
WITH chosen AS (
    SELECT
        *,
        -- Run numbers repeat between deployments: a run is one of its user and branch.
        concat_ws('/', branch, "user") AS owner,
        -- Metaflow's own names: `prod`, or `prod.NAME` under --production --branch NAME.
        coalesce(branch = 'prod' OR starts_with(branch, 'prod.'), FALSE) AS production
    FROM tasks
    WHERE ($flow::VARCHAR IS NULL OR flow = $flow)
      AND ($branch::VARCHAR IS NULL OR branch GLOB $branch)
      AND ($origin::VARCHAR IS NULL OR run_origin = $origin)
      AND ($since_s::DOUBLE IS NULL OR started_at >= to_timestamp($since_s))
),
runs AS (
    SELECT
        project,
        production,
        flow,
        run,
        owner,
        row_number() OVER (PARTITION BY project, production, flow ORDER BY min(started_at) DESC, run DESC, owner) AS age
    FROM chosen
    GROUP BY project, production, flow, run, owner
),
seen AS (
    SELECT chosen.*
    FROM chosen
    JOIN runs
      ON chosen.project IS NOT DISTINCT FROM runs.project
     AND chosen.production = runs.production
     AND chosen.flow = runs.flow
     AND chosen.run = runs.run
     AND chosen.owner = runs.owner
    WHERE ($runs::BIGINT IS NULL OR runs.age <= $runs)
      AND ($step::VARCHAR IS NULL OR step = $step)
),
attempts AS (
    SELECT
        project,
        production,
        flow,
        step,
        min(started_at) AS first_started_at,
        list({
            run: run,
            owner: owner,
            task: task,
            attempt: attempt,
            outcome: outcome,
            started_at_s: epoch(started_at),
            duration_s: duration_s,
            cpu_seconds: cpu_seconds,
            cpu_mean: cpu_mean,
            cpu_max: cpu_max,
            throttled_s: throttled_s,
            cpu_limit: cpu_limit,
            thread_limits: thread_limits::VARCHAR,
            memory_peak_bytes: memory_peak_bytes,
            memory_source: memory_source,
            memory_limit_bytes: memory_limit_bytes,
            gpu_count: gpu_count,
            gpu_utilization_mean: gpu_utilization_mean,
            gpu_utilization_max: gpu_utilization_max,
            gpu_memory_peak_bytes: gpu_memory_peak_bytes,
            disk_peak_bytes: disk_peak_bytes,
            requested_cpu: requested_cpu,
            requested_memory_bytes: requested_memory_bytes,
            requested_gpu: requested_gpu,
            requested_disk_bytes: requested_disk_bytes,
            requested_timeout_s: requested_timeout_s,
            host_cpus: host_cpus,
            item: item,
            code_version: code_version,
            annotations: annotations::VARCHAR
        } ORDER BY started_at NULLS FIRST, run, owner, task, attempt) AS attempts
    FROM seen
    GROUP BY ALL
),
seconds AS (
    SELECT project, production, flow, step, bucket.key AS bucket, sum(bucket.value) AS seconds
    FROM (
        SELECT project, production, flow, step, unnest(map_entries(cpu_histogram)) AS bucket
        FROM seen
        WHERE outcome IS NOT NULL
    )
    GROUP BY ALL
),
histograms AS (
    SELECT project, production, flow, step, list({bucket: bucket, seconds: seconds} ORDER BY bucket) AS cpu_histogram
    FROM seconds
    GROUP BY ALL
)
SELECT
    attempts.project,
    attempts.production,
    attempts.flow,
    attempts.step,
    attempts.attempts,
    coalesce(histograms.cpu_histogram, []) AS cpu_histogram
FROM attempts
LEFT JOIN histograms
  ON attempts.project IS NOT DISTINCT FROM histograms.project
 AND attempts.production = histograms.production
 AND attempts.flow = histograms.flow
 AND attempts.step = histograms.step
ORDER BY attempts.project NULLS FIRST, attempts.production DESC, attempts.flow, first_started_at, attempts.step

-- The `steps` by their number, each with the seconds spent in each bucket of cores, added up over all that ended.
, seconds AS (
    SELECT project, production, flow, step, bucket.key AS bucket, sum(bucket.value) AS seconds
    FROM (
        SELECT project, production, flow, step, unnest(map_entries(cpu_histogram)) AS bucket
        FROM seen
        WHERE outcome IS NOT NULL
    )
    WHERE isfinite(bucket.value) AND bucket.value >= 0 AND bucket.key BETWEEN -128 AND 192 -- as CPU_BUCKET_MIN and _MAX
    GROUP BY ALL
),
histograms AS (
    SELECT project, production, flow, step, list({bucket: bucket, seconds: seconds} ORDER BY bucket) AS cpu_histogram
    FROM seconds
    GROUP BY ALL
)
SELECT
    steps.number,
    steps.project,
    steps.production,
    steps.flow,
    steps.step,
    coalesce(histograms.cpu_histogram, []) AS cpu_histogram
FROM steps
LEFT JOIN histograms
  ON steps.project IS NOT DISTINCT FROM histograms.project
 AND steps.production = histograms.production
 AND steps.flow = histograms.flow
 AND steps.step = histograms.step
ORDER BY steps.number

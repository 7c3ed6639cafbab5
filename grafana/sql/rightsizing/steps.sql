SELECT
    flow AS "Flow",
    step AS "Step",
    project AS "Project",
    production AS "Production",
    saving_per_month AS "To save a month",
    currency AS "Currency",
    wasted_gb_h AS "GB·h not used",
    requested_memory_mb * 1e6 AS "Memory asked for",
    used_memory_mb * 1e6 AS "Memory used",
    recommended_memory_mb * 1e6 AS "Memory recommended",
    requested_cpu AS "Cores asked for",
    recommended_cpu AS "Cores recommended",
    requested_gpu AS "GPUs asked for",
    recommended_gpu AS "GPUs recommended",
    confidence AS "Confidence",
    failures_expected_per_1000 / 1000 AS "Expected to fail",
    runs AS "Runs",
    array_to_string(reasons, ' ') AS "Why"
FROM recommendations
WHERE flow IN (${flow:sqlstring})
ORDER BY saving_per_month DESC NULLS LAST, wasted_gb_h DESC NULLS LAST
LIMIT 500

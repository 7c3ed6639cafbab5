, costs AS (
    -- What a run costs by the newest report: of steps whose cost is known both as it is and as recommended, in one currency.
    SELECT
        flow, project, production,
        sum(cost_per_run_now) AS now,
        sum(cost_per_run_recommended) AS recommended,
        min(currency) AS currency
    FROM recommendations
    WHERE cost_per_run_now IS NOT NULL AND cost_per_run_recommended IS NOT NULL
    GROUP BY flow, project, production
    HAVING count(DISTINCT currency) = 1
), charged AS (
    SELECT runs.*, costs.now, costs.recommended, costs.currency
    FROM runs LEFT JOIN costs ON costs.flow = runs.flow AND costs.production = runs.production
        AND costs.project IS NOT DISTINCT FROM runs.project
)

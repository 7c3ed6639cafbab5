-- The three cheapest that fit each step's recommendation.
WITH offered AS (
    SELECT flow, step, project, production, saving_per_month, currency, unnest(servers[:3]) AS server
    FROM recommendations
    WHERE flow IN (${flow:sqlstring})
)
SELECT
    flow AS "Flow",
    step AS "Step",
    project AS "Project",
    production AS "Production",
    server.vendor_id AS "Vendor",
    server.server_id AS "Server",
    server.region AS "Region",
    server.allocation AS "Allocation",
    server.vcpus AS "Cores",
    server.memory_mib * 1048576 AS "Memory",
    server.price_hourly AS "Price an hour",
    currency AS "Currency",
    server.price_observed_at AS "Price of"
FROM offered
ORDER BY saving_per_month DESC NULLS LAST, flow, step, project, production, server.price_hourly
LIMIT 500

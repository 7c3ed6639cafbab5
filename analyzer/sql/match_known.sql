-- Every value of the names that a need may use.
SELECT 'vendor_id', vendor_id FROM (SELECT DISTINCT vendor_id FROM prices)
UNION ALL SELECT 'region', region FROM (SELECT DISTINCT region FROM prices)
UNION ALL SELECT 'allocation', allocation FROM (SELECT DISTINCT allocation FROM prices)
UNION ALL SELECT 'cpu_architecture', cpu_architecture FROM (
    SELECT DISTINCT cpu_architecture FROM sold_servers SEMI JOIN prices USING (vendor_id, server_key)
)
UNION ALL SELECT 'gpu_model', gpu_model FROM (
    SELECT DISTINCT gpu_model FROM sold_servers SEMI JOIN prices USING (vendor_id, server_key) WHERE gpu_model IS NOT NULL
)

-- Every value of the names that a need may use.
WITH sold AS (FROM sold_servers SEMI JOIN prices USING (id))
SELECT DISTINCT 'vendor_id', vendor_id FROM sold
UNION ALL SELECT DISTINCT 'region', region FROM prices
UNION ALL SELECT DISTINCT 'allocation', allocation FROM prices
UNION ALL SELECT DISTINCT 'cpu_architecture', cpu_architecture FROM sold
UNION ALL SELECT DISTINCT 'gpu_model', gpu_model FROM sold WHERE gpu_model IS NOT NULL

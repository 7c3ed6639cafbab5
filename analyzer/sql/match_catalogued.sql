-- Every value of the names that a need may use, of servers and regions without a price too.
SELECT DISTINCT 'vendor_id', vendor_id FROM servers
UNION ALL SELECT DISTINCT 'region', api_reference FROM regions
UNION ALL SELECT DISTINCT 'gpu_model', gpu_model FROM servers WHERE gpu_model IS NOT NULL

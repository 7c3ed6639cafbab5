-- Every combination of the names that a need may use.
SELECT DISTINCT vendor_id, region, cpu_architecture, allocation FROM offers

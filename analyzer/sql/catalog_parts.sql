-- How many rows of each table of a catalogue's part there are, and under which licences.
WITH rows AS (
    SELECT 'servers' AS of_table, licence FROM servers
    UNION ALL SELECT 'server_prices', licence FROM server_prices
    UNION ALL SELECT 'regions', licence FROM regions
)
SELECT
    count(*) FILTER (of_table = 'servers'),
    count(*) FILTER (of_table = 'server_prices'),
    count(*) FILTER (of_table = 'regions'),
    coalesce(list(DISTINCT licence ORDER BY licence), [])
FROM rows

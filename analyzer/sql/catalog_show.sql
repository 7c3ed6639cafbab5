-- What the catalogue holds of each vendor; prices by allocation and quality are JSON objects of counts.
WITH of_servers AS (
    SELECT
        vendor_id,
        count(*) AS servers,
        count(*) FILTER (gpu_count > 0) AS with_gpu,
        max(observed_at) AS servers_observed_at,
        list(DISTINCT source ORDER BY source) AS sources,
        list(DISTINCT licence ORDER BY licence) AS licences
    FROM servers
    GROUP BY vendor_id
),
of_prices AS (
    SELECT
        vendor_id,
        count(*) AS prices,
        count(DISTINCT server_id) AS servers_priced,
        count(DISTINCT region_id) AS regions_priced,
        count(*) FILTER (allocation = 'ondemand') AS ondemand,
        count(*) FILTER (allocation = 'spot') AS spot,
        count(*) FILTER (price_quality = 'listed') AS listed,
        count(*) FILTER (price_quality = 'repaired') AS repaired,
        count(*) FILTER (price_quality = 'derived') AS derived,
        min(observed_at) AS oldest,
        max(observed_at) AS newest,
        list(DISTINCT source ORDER BY source) AS sources,
        list(DISTINCT licence ORDER BY licence) AS licences
    FROM server_prices
    GROUP BY vendor_id
)
SELECT
    vendor_id,
    servers,
    with_gpu,
    servers_observed_at,
    coalesce(servers_priced, 0),
    coalesce(regions_priced, 0),
    coalesce(ondemand, 0),
    coalesce(spot, 0),
    coalesce(listed, 0),
    coalesce(repaired, 0),
    coalesce(derived, 0),
    oldest,
    newest,
    list_sort(list_distinct(of_servers.sources || coalesce(of_prices.sources, []))),
    list_sort(list_distinct(of_servers.licences || coalesce(of_prices.licences, [])))
FROM of_servers LEFT JOIN of_prices USING (vendor_id)
ORDER BY vendor_id

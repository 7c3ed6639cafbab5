-- One offer with every column of the catalogue, and the scores of its server; the price's and the region's own columns
-- keep their names, those that the server has too are told apart.
SELECT
    server.*,
    scores.score,
    scores.benchmark_scores,
    price.region_id,
    price.operating_system,
    price.allocation,
    price.unit,
    price.price,
    price.currency,
    scores.score / price.price AS score_per_price,
    price.price_quality,
    price.source AS server_price_source,
    price.observed_at AS server_price_observed_at,
    price.licence AS server_price_licence,
    region.api_reference AS region_api_reference,
    region.display_name AS region_display_name,
    region.country_id,
    region.city,
    region.status AS region_status,
    region.source AS region_source,
    region.observed_at AS region_observed_at,
    region.licence AS region_licence
FROM servers AS server
JOIN server_prices AS price USING (vendor_id, server_id)
JOIN regions AS region USING (vendor_id, region_id)
LEFT JOIN server_scores AS scores USING (vendor_id, server_id)
WHERE server.vendor_id = $vendor AND server.api_reference = $server AND region.api_reference = $region
    AND price.allocation = $allocation AND price.currency = 'USD'

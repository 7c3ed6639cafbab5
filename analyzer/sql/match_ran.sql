-- A type of server with GPUs by its name, of any status, at the least it costs on demand.
SELECT
    server.api_reference,
    server.gpu_count,
    server.gpu_model,
    server.gpu_memory_total,
    price.price,
    price.currency,
    price.observed_at
FROM servers AS server
LEFT JOIN server_prices AS price
    ON price.vendor_id = server.vendor_id AND price.server_id = server.server_id
    AND price.allocation = 'ondemand' AND price.currency = 'USD'
WHERE server.api_reference = $name AND server.gpu_count > 0
ORDER BY price.price, price.observed_at
LIMIT 1

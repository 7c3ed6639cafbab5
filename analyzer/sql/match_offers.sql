-- Every price of a server that can be had, under the names people know servers and regions by.
-- GPUs: what each holds is gpu_memory_min; a server's GPUs may differ, so the least is what can be relied on.
CREATE TABLE offers AS
SELECT
    price.vendor_id,
    server.api_reference AS server_id,
    region.api_reference AS region,
    price.allocation,
    price.price AS price_hourly,
    price.currency,
    price.observed_at AS price_observed_at,
    price.price_quality,
    server.vcpus,
    server.memory_amount AS memory_mib,
    server.gpu_count,
    server.gpu_model,
    server.gpu_memory_min AS gpu_memory_min_mib,
    server.gpu_memory_total AS gpu_memory_total_mib,
    server.cpu_architecture,
    server.cpu_allocation,
    server.storage_size AS storage_gb
FROM server_prices AS price
JOIN servers AS server USING (vendor_id, server_id)
JOIN regions AS region USING (vendor_id, region_id)
WHERE server.status = 'active' AND region.status = 'active' AND price.unit = 'hour';

-- Each offer with what it falls short of, a bit for each constraint in the order of `matching.CONSTRAINTS`: 0 fits.
-- Null arguments ask for nothing. The GPUs asked for (one, where only memory is asked for) hold vram together.
CREATE MACRO judged(cpu, memory, gpu, vram, disk, architecture, vendors, region_names, terms, burstable) AS TABLE
SELECT
    offers.*,
    (vcpus < cpu)::INTEGER
    + 2 * (memory_mib < memory)::INTEGER
    + 4 * (gpu_count < gpu)::INTEGER
    + 8 * (coalesce(gpu_memory_min_mib, 0) * greatest(gpu, 1) < vram)::INTEGER
    + 16 * (storage_gb < disk)::INTEGER
    + 32 * coalesce(cpu_architecture <> architecture, false)::INTEGER
    + 64 * coalesce(NOT list_contains(vendors, vendor_id), false)::INTEGER
    + 128 * coalesce(NOT list_contains(region_names, region), false)::INTEGER
    + 256 * coalesce(allocation <> terms, false)::INTEGER
    + 512 * (cpu_allocation = 'burstable' AND NOT burstable)::INTEGER AS shortfalls
FROM offers;

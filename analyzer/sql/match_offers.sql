-- What can be had, under the names people know servers and regions by, and what of a server is left for tasks.

-- What a machine's own system keeps of its memory: what MemTotal falls short of the size that is sold.
-- gcp: kubernetes/autoscaler, cluster-autoscaler/cloudprovider/gce/reserved.go (Container-Optimized OS).
-- Others: what Karpenter assumes of a machine it has not met, VM_MEMORY_OVERHEAD_PERCENT (karpenter.sh, Settings).
CREATE MACRO system_mib(vendor, mib) AS CASE vendor
    WHEN 'gcp' THEN mib / 64.0 + 16 + if(mib > 3072, 64, 0) + if(mib <= 8192, 8, 0) + least(0.00175 * mib, 248)
    ELSE 0.075 * mib END;

-- What a managed cluster's kubelet is told to keep, with the 100 MiB below which it evicts.
-- aws: awslabs/amazon-eks-ami, bootstrap.sh and nodeadm: 255 MiB and 11 MiB a pod.
-- azure: learn.microsoft.com/azure/aks/node-resource-reservations (1.29 and later), with the 250 pods of its overlay.
-- gcp, and others by its rule: cloud.google.com/kubernetes-engine/docs/concepts/plan-node-sizes.
CREATE MACRO kubelet_mib(vendor, mib, pods) AS 100 + CASE vendor
    WHEN 'aws' THEN 255 + 11 * pods
    WHEN 'azure' THEN least(0.25 * mib, (20 * 250 + 50) * 1e6 / 1048576)
    ELSE if(mib < 1024, 255,
        0.25 * least(mib, 4096) + 0.2 * least(greatest(mib - 4096, 0), 4096)
        + 0.1 * least(greatest(mib - 8192, 0), 8192) + 0.06 * least(greatest(mib - 16384, 0), 114688)
        + 0.02 * greatest(mib - 131072, 0)) END;

-- The same pages' rules for cores.
CREATE MACRO kubelet_cores(vendor, cores) AS CASE vendor
    WHEN 'azure' THEN
        0.06 + 0.04 * least(greatest(cores - 1, 0), 1) + 0.02 * least(greatest(cores - 2, 0), 2)
        + 0.01 * greatest(cores - 4, 0)
    ELSE 0.06 * least(cores, 1) + 0.01 * least(greatest(cores - 1, 0), 1)
        + 0.005 * least(greatest(cores - 2, 0), 2) + 0.0025 * greatest(cores - 4, 0) END;

-- Left for tasks. batch: the 32 MiB that the agent of Amazon ECS keeps (docs.aws.amazon.com/batch, memory-management).
CREATE MACRO memory_free(platform, vendor, mib, pods) AS greatest(0, mib - CASE platform
    WHEN 'none' THEN 0
    WHEN 'kubernetes' THEN system_mib(vendor, mib) + kubelet_mib(vendor, mib, pods)
    WHEN 'batch' THEN system_mib(vendor, mib) + 32
    ELSE system_mib(vendor, mib) END);
CREATE MACRO cores_free(platform, vendor, cores) AS
    if(platform = 'kubernetes', cores - kubelet_cores(vendor, cores), cores)::DOUBLE;

-- statuses: previous generations, cheap on paper and hard to get, are there only where a fleet names them.
-- gpus_known: what is marked unknown may be a share of a GPU, and is counted on for nothing.
-- GPUs: what each holds is gpu_memory_min; a server's GPUs may differ, so the least is what can be relied on.
CREATE TABLE sold_servers AS
SELECT
    row_number() OVER ()::INTEGER AS id,
    vendor_id,
    server_id AS server_key,
    api_reference AS server_id,
    vcpus,
    memory_amount AS memory_mib,
    gpu_count,
    if(gpu_quality = 'unknown', 0, gpu_count) AS gpus_known,
    gpu_model,
    gpu_memory_min AS gpu_memory_min_mib,
    gpu_memory_total AS gpu_memory_total_mib,
    cpu_architecture,
    cpu_allocation,
    storage_size AS storage_gb,
    coalesce(eks_max_pods, if(vcpus < 30, 110, 250)) AS pods
FROM servers
WHERE list_contains(getvariable('statuses'), status);

-- Their prices that can be compared, by the servers' numbers; each region as its vendor names it.
CREATE TABLE prices AS
SELECT
    sold.id,
    region.api_reference AS region,
    price.allocation,
    price.price AS price_hourly,
    price.currency,
    price.observed_at AS price_observed_at,
    price.price_quality
FROM server_prices AS price
JOIN sold_servers AS sold ON sold.vendor_id = price.vendor_id AND sold.server_key = price.server_id
JOIN regions AS region ON region.vendor_id = price.vendor_id AND region.region_id = price.region_id
WHERE region.status = 'active' AND price.unit = 'hour' AND price.currency = 'USD';

-- Each offer with what it falls short of, a bit for each constraint in the order of `matching.CONSTRAINTS`: 0 fits.
-- Null arguments ask for nothing. The GPUs asked for (one, where only memory is asked for) hold vram together, those
-- that there are where they are fewer: what is short of GPUs may be short of their memory too.
CREATE MACRO judged(
    cpu, memory, gpu, vram, disk, architecture, vendors, region_names, terms, burstable, models, platform
) AS TABLE
WITH of_servers AS (
    SELECT
        *,
        memory_free(platform, vendor_id, memory_mib, pods) AS memory_free_mib,
        cores_free(platform, vendor_id, vcpus) AS cores_free,
        coalesce(gpu_memory_min_mib, 0) * greatest(least(gpu, floor(gpus_known)), 1) AS vram_mib,
        (cores_free < cpu)::INTEGER
        + 2 * (memory_free_mib < memory)::INTEGER
        + 4 * (gpus_known < gpu)::INTEGER
        + 8 * (vram_mib < vram)::INTEGER
        + 16 * (storage_gb < disk)::INTEGER
        + 32 * coalesce(cpu_architecture <> architecture, false)::INTEGER
        + 64 * coalesce(NOT list_contains(vendors, vendor_id), false)::INTEGER
        + 512 * (cpu_allocation = 'burstable' AND NOT burstable)::INTEGER
        + 1024 * coalesce(NOT list_contains(models, coalesce(gpu_model, '')), false)::INTEGER AS of_server
    FROM sold_servers
),
of_prices AS (
    SELECT
        *,
        128 * coalesce(NOT list_contains(region_names, region), false)::INTEGER
        + 256 * coalesce(allocation <> terms, false)::INTEGER AS of_price
    FROM prices
)
SELECT *, of_server + of_price AS shortfalls
FROM of_servers JOIN of_prices USING (id);

-- The cores and the memory that the servers on offer leave free for tasks.
SELECT DISTINCT cores_free($platform, vendor_id, vcpus), memory_free($platform, vendor_id, memory_mib, pods)::DOUBLE
FROM sold_servers SEMI JOIN prices USING (id)

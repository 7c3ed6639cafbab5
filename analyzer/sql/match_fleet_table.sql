-- What a fleet allows: a server, in these regions but outside others, and allocations; null allows all.
CREATE TEMP TABLE fleet (
    vendor_id VARCHAR, server_key VARCHAR, regions VARCHAR[], allocations VARCHAR[], outside VARCHAR[]
)

-- Takes away every price that no line of the fleet allows.
DELETE FROM prices WHERE NOT EXISTS (
    FROM fleet JOIN sold_servers AS server USING (vendor_id, server_key)
    WHERE server.id = prices.id
        AND NOT list_contains(fleet.outside, prices.region)
        AND coalesce(list_contains(fleet.regions, prices.region), true)
        AND coalesce(list_contains(fleet.allocations, prices.allocation), true)
)

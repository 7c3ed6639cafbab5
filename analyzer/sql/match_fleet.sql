-- Takes away every price that no line of the fleet allows.
DELETE FROM prices WHERE NOT EXISTS (
    FROM fleet
    WHERE fleet.vendor_id = prices.vendor_id AND fleet.server_key = prices.server_key
        AND coalesce(list_contains(fleet.regions, prices.region), true)
        AND coalesce(list_contains(fleet.allocations, prices.allocation), true)
)

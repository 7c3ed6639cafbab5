-- The servers that have a price, as far as a fleet allows.
SELECT DISTINCT vendor_id, server_id FROM sold_servers SEMI JOIN prices USING (id)

-- The scores of a catalogue that has none: those that are built offline.
SELECT NULL::VARCHAR AS vendor_id, NULL::VARCHAR AS server_id, NULL::DOUBLE AS score, NULL::VARCHAR AS benchmark_scores
WHERE false

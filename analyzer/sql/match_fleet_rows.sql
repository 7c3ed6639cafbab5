-- The lines of a fleet, given by column.
INSERT INTO fleet
SELECT
    unnest($1::VARCHAR[]), unnest($2::VARCHAR[]), unnest($3::VARCHAR[][]), unnest($4::VARCHAR[][]), unnest($5::VARCHAR[][])

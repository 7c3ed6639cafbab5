-- Every stored column of a table of points, as it is: nanoseconds, flags, exemplars.
CREATE VIEW lake.{view} AS
SELECT *
FROM {rows};

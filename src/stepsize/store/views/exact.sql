-- Every stored column of a table of points, as it is: nanoseconds, flags, exemplars.
CREATE VIEW lake.{view} AS
SELECT *
FROM read_parquet({files}, hive_partitioning = true, hive_types = {{'day': DATE}});

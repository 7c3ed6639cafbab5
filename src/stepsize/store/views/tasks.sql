-- One row per attempt of a task: closed ones, and the snapshot of those that run (outcome NULL).
CREATE VIEW lake.tasks AS
SELECT {columns}
FROM read_parquet({files}, hive_partitioning = false)
{one_row};

-- One row per attempt of a task: closed ones, and the snapshot of those that run (outcome NULL).
-- By name where needed: files written before a column was added have none of it, and the empty file has them all.
CREATE VIEW lake.tasks AS
SELECT {columns}
FROM {rows}
{one_row};

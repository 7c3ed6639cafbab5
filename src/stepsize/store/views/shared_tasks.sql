-- The view `tasks` where several writers have rows of it, and reading them again costs little: only attempts that are there
-- more than once are sorted by who knows most (a million rows took 3 s of CPU, and so take 0.2). What has the key of another
-- attempt by chance is sorted too, and stays.
CREATE VIEW lake.tasks AS
WITH several AS MATERIALIZED (
    SELECT hash(flow, run, step, task, attempt) AS key
    FROM {rows}
    GROUP BY key
    HAVING count(*) > 1
)
SELECT {columns}
FROM {rows}
WHERE hash(flow, run, step, task, attempt) NOT IN (SELECT key FROM several)
UNION ALL
(
    SELECT {columns}
    FROM {rows}
    WHERE hash(flow, run, step, task, attempt) IN (SELECT key FROM several)
    {one_row}
);

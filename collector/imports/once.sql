-- What was read (the file $staged) as table `once`.
-- Of one execution that was read twice the later word counts, at its first place; of several executions with one name the
-- first has it, the others are named by their source's own word too, so that a longer file names each as before.
CREATE TEMP TABLE once AS
WITH placed AS (
    SELECT
        *,
        min(place) OVER same AS first_place,
        row_number() OVER (same ORDER BY place DESC) AS age
    FROM read_parquet($staged)
    WINDOW same AS (PARTITION BY flow, run, step, task, attempt, project, branch, "user", native)
),
ranked AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY flow, run, step, task, attempt, project, branch, "user" ORDER BY first_place
        ) AS number
    FROM placed
    WHERE age = 1
)
SELECT
    * EXCLUDE (place, first_place, age, number, native) REPLACE (
        if(number = 1, task, concat(task, ' [', native, ']')) AS task
    ),
    -- Where no time is known the row is of the month in which it was imported: that is what its age is counted from.
    strftime(coalesce(started_at, ended_at, now()), '%Y-%m') AS month
FROM ranked;

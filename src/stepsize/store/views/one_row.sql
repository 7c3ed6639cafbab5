-- Of an attempt whose points went to several collectors, each has a row of the part it saw. The one that saw the end
-- knows most: peaks and sums are of the whole attempt so far. Then the one that still runs; `lost` is a guess.
-- The ninth part of the key is what tells deployments apart that use the same names.
QUALIFY row_number() OVER (
    PARTITION BY
        flow, run, step, task, attempt, coalesce(project, ''), coalesce(branch, ''), coalesce("user", ''),
        state ->> '$.key[8]'
    ORDER BY coalesce(outcome = 'lost', false), outcome IS NULL, ended_at DESC, samples DESC
) = 1

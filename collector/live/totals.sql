SELECT count(*), count(DISTINCT (flow, run, step)), max(ended_at)
FROM running;

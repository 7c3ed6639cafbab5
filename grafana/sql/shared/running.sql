-- A collector closes what is silent for ten minutes; where none is there, nothing runs after an hour.
WITH running AS (
    SELECT *, least(requested_memory_bytes, memory_limit_bytes)::DOUBLE AS holds_bytes
    FROM tasks
    WHERE outcome IS NULL AND ended_at > now() - INTERVAL 1 HOUR AND flow IN (${flow:sqlstring})
)

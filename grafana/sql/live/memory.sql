{% set metric = 'stepsize.task.memory.usage' %}
{% set asked, most = 'requested_memory_bytes::DOUBLE', 'memory_limit_bytes::DOUBLE' %}
{% include 'shared/in_use.sql' %}
SELECT bucket AS time, used.value AS "in use", held.asked AS "asked for", held.most AS "limit"
FROM used JOIN held USING (bucket)
ORDER BY time

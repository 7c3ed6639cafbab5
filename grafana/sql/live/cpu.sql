{% set metric, asked, most = 'stepsize.task.cpu.usage', 'requested_cpu', 'cpu_limit' %}
{% include 'shared/in_use.sql' %}
SELECT bucket AS time, used.value AS "in use", held.asked AS "asked for", held.most AS "limit"
FROM used JOIN held USING (bucket)
ORDER BY time

{% set metric, asked, most = 'stepsize.task.gpu.utilization', 'coalesce(requested_gpu, gpu_count)', 'NULL::DOUBLE' %}
{% include 'shared/in_use.sql' %}
SELECT bucket AS time, used.value AS "busy", held.asked AS "held"
FROM used JOIN held USING (bucket)
ORDER BY time

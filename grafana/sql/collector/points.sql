{% set name = "CASE metric WHEN 'otelcol_receiver_accepted_metric_points' THEN 'taken' ELSE 'refused' END" %}
{% set metrics = "'otelcol_receiver_refused_metric_points'" %}
{% include 'shared/grown.sql' %}
SELECT $__timeGroup(time, $__interval) AS time, name AS metric, sum(value) * 1000 / $__interval_ms AS value
FROM grown
WHERE value IS NOT NULL
GROUP BY 1, 2
ORDER BY 1, 2

{% set name = "CASE metric WHEN 'stepsize_wal_refused_requests' THEN 'no room in the log' ELSE attributes ->> '$.bound' END" %}
{% set metrics = "'stepsize_receiver_refused_requests', 'stepsize_receiver_rejected_metric_points', 'stepsize_wal_refused_requests'" %}
{% include 'shared/grown.sql' %}
SELECT $__timeGroup(time, $__interval) AS time, name AS metric, sum(value) AS value
FROM grown
WHERE value IS NOT NULL AND metric <> 'otelcol_receiver_accepted_metric_points'
GROUP BY 1, 2
ORDER BY 1, 2

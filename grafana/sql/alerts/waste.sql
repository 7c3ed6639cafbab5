SELECT flow, currency, sum(saving_per_month) AS value
FROM recommendations
WHERE saving_per_month > 0
GROUP BY flow, currency

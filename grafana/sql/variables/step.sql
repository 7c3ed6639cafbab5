SELECT DISTINCT step FROM tasks WHERE flow IN (${flow:sqlstring}) AND step IS NOT NULL ORDER BY step

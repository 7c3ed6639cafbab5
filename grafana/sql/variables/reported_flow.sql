SELECT DISTINCT flow FROM recommendations ORDER BY flow

SELECT rule, count(*) AS fired, count(scenario) AS on_fraud
FROM settled
CROSS JOIN LATERAL unnest(reasons) AS rule
GROUP BY rule
ORDER BY rule

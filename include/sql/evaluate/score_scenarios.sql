SELECT
    scenario,
    count(*) AS labels,
    count(*) FILTER (WHERE verdict = 'fraud') AS called_fraud,
    count(*) FILTER (WHERE verdict = 'genuine') AS called_genuine
FROM settled
GROUP BY scenario
ORDER BY scenario

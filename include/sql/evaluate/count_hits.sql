-- How often each rule fired without making its transaction fraud, of those that have label and verdict.
SELECT rule, count(*), count(scenario), mode
FROM settled
JOIN ops.rule_hit USING (txn_id)
WHERE caught IS NOT NULL
GROUP BY rule, mode
ORDER BY rule, mode

-- The newest transactions on which a rule fired without making them fraud.
SELECT hit.txn_id, hit.scored_at, hit.mode, hit.rules_version, hit.evidence ->> 'message' AS message, seen.verdict
FROM ops.rule_hit AS hit
LEFT JOIN ops.transaction_seen AS seen USING (txn_id)
WHERE hit.rule = %(rule)s
ORDER BY hit.scored_at DESC
LIMIT %(limit)s

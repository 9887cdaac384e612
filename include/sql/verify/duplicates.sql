-- Duplicates of what has no verdict.
SELECT txn_id
FROM ops.transaction_duplicate
WHERE NOT EXISTS (SELECT FROM ops.transaction_seen WHERE transaction_seen.txn_id = transaction_duplicate.txn_id)
ORDER BY 1

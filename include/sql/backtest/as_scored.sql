-- Transactions as they were read when they were scored.
SELECT txn_id, user_id, amount, merchant_id, channel, location, "timestamp"
FROM public.fraudtransaction
WHERE txn_id = ANY(%(txn_ids)s)
UNION ALL
SELECT txn_id, user_id, amount, merchant_id, channel, location, "timestamp"
FROM public.genuinetransaction
WHERE txn_id = ANY(%(txn_ids)s)

-- A transaction as whoever remembers it knows it, when it was scored, and what was said of it then.
SELECT scored_at, evidence, txn_id, user_id, amount, merchant_id, channel, location, "timestamp"
FROM public.fraudtransaction
WHERE txn_id = %(txn_id)s
UNION ALL
SELECT scored_at, '[]', txn_id, user_id, amount, merchant_id, channel, location, "timestamp"
FROM public.genuinetransaction
WHERE txn_id = %(txn_id)s

-- The newest other alerts of a user, or of a merchant.
SELECT txn_id, "timestamp", user_id, merchant_id, amount, channel, location, reasons
FROM public.fraudtransaction
WHERE {key} = %(id)s AND txn_id <> %(txn_id)s
ORDER BY "timestamp" DESC, txn_id
LIMIT %(limit)s

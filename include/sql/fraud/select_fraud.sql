SELECT {columns}, evidence, score
FROM public.fraudtransaction
WHERE txn_id = ANY(%(txn_ids)s)
ORDER BY txn_id

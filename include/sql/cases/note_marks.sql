-- What a case's mark says of each of its transactions, for features; a transaction whose verdict is gone has none.
INSERT INTO ops.mark (txn_id, mark, known_at, user_id, merchant_id, case_id)
SELECT verdict.txn_id, %(mark)s, %(known_at)s, verdict.user_id, verdict.merchant_id, case_alerts.case_id
FROM public.case_alerts
CROSS JOIN LATERAL (
    SELECT txn_id, user_id, merchant_id FROM public.fraudtransaction WHERE txn_id = case_alerts.txn_id
    UNION ALL
    SELECT txn_id, user_id, merchant_id FROM public.genuinetransaction WHERE txn_id = case_alerts.txn_id
) AS verdict
WHERE case_alerts.case_id = %(case_id)s
ORDER BY verdict.txn_id

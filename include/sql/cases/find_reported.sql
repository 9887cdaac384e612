-- What is known of each transaction that somebody reports, in the order in which he does.
SELECT asked.txn_id, verdict.user_id, verdict."timestamp", verdict.amount, case_alerts.case_id
FROM unnest(%(txn_ids)s::text[]) WITH ORDINALITY AS asked (txn_id, place)
LEFT JOIN LATERAL (
    SELECT user_id, "timestamp", amount FROM public.fraudtransaction WHERE txn_id = asked.txn_id
    UNION ALL
    SELECT user_id, "timestamp", amount FROM public.genuinetransaction WHERE txn_id = asked.txn_id
) AS verdict ON true
LEFT JOIN public.case_alerts ON case_alerts.txn_id = asked.txn_id
ORDER BY asked.place

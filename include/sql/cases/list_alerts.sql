-- LEFT JOIN: that a case had a transaction stays true, whatever becomes of the verdict's row.
SELECT txn_id, case_alerts.alerted_at, verdict."timestamp", verdict.amount, verdict.merchant_id,
    merchants.merchant_name, verdict.channel, verdict.location, verdict.evidence
FROM public.case_alerts
LEFT JOIN LATERAL (
    SELECT "timestamp", amount, merchant_id, channel, location, evidence
    FROM public.fraudtransaction
    WHERE txn_id = case_alerts.txn_id
    UNION ALL
    SELECT "timestamp", amount, merchant_id, channel, location, NULL
    FROM public.genuinetransaction
    WHERE txn_id = case_alerts.txn_id
) AS verdict ON true
LEFT JOIN public.merchants USING (merchant_id)
WHERE case_alerts.case_id = %(case_id)s
ORDER BY verdict."timestamp", txn_id

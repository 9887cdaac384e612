-- LEFT JOIN: that a case had an alert stays true, whatever becomes of the verdict's row.
SELECT txn_id, case_alerts.alerted_at, fraud."timestamp", fraud.amount, fraud.merchant_id, merchants.merchant_name,
    fraud.channel, fraud.location, fraud.evidence
FROM public.case_alerts
LEFT JOIN public.fraudtransaction AS fraud USING (txn_id)
LEFT JOIN public.merchants USING (merchant_id)
WHERE case_alerts.case_id = %(case_id)s
ORDER BY fraud."timestamp", txn_id

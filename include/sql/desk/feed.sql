-- Frauds, the newest verdict first, from a place on.
SELECT fraud.txn_id, fraud.scored_at, fraud."timestamp", fraud.user_id, users.name AS user_name, fraud.amount,
    fraud.merchant_id, merchants.merchant_name, merchants.country_code, fraud.channel, fraud.location,
    coalesce(fraud.score, 100) AS score, fraud.reasons, fraud.evidence, case_alerts.case_id, cases.state AS case_state
FROM public.fraudtransaction AS fraud
LEFT JOIN public.merchants USING (merchant_id)
LEFT JOIN public.users ON users.user_id = fraud.user_id
LEFT JOIN public.case_alerts USING (txn_id)
LEFT JOIN public.cases USING (case_id)
WHERE {chosen}
    AND (%(before_at)s::timestamptz IS NULL OR (scored_at, fraud.txn_id) < (%(before_at)s, %(before_id)s))
ORDER BY scored_at DESC, fraud.txn_id DESC
LIMIT %(limit)s

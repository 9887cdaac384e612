-- One transaction with everything that is known of its user, its merchant and its case.
SELECT verdict.*, users.name AS user_name, users.country_code AS user_country_code, users.status AS user_status,
    merchants.merchant_name, merchants.category AS merchant_category, merchants.risk_level AS merchant_risk_level,
    merchants.country_code AS merchant_country_code, case_alerts.case_id, cases.state AS case_state
FROM (
    SELECT txn_id, "timestamp", scored_at, user_id, merchant_id, amount, channel, location, true AS is_fraud,
        coalesce(score, 100) AS score, reasons, evidence, rules_version, lists_version, bronze_topic_id, bronze_partition,
        bronze_offset
    FROM public.fraudtransaction
    WHERE txn_id = %(txn_id)s
    UNION ALL
    SELECT txn_id, "timestamp", scored_at, user_id, merchant_id, amount, channel, location, false,
        coalesce(score, 0), ARRAY[]::text[], '[]'::jsonb, rules_version, lists_version, bronze_topic_id, bronze_partition,
        bronze_offset
    FROM public.genuinetransaction
    WHERE txn_id = %(txn_id)s
) AS verdict
LEFT JOIN public.users USING (user_id)
LEFT JOIN public.merchants USING (merchant_id)
LEFT JOIN public.case_alerts USING (txn_id)
LEFT JOIN public.cases USING (case_id)

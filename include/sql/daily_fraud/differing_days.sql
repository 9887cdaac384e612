-- The days on which public.daily_fraud says anything else than the verdicts do now.
SELECT DISTINCT day
FROM (
    SELECT day, merchant_id, channel, rule_set, transactions, frauds, amount, fraud_amount, count(*) OVER same AS sides
    FROM (
        SELECT day, merchant_id, channel, rules AS rule_set, transactions, frauds, amount, fraud_amount
        FROM public.daily_fraud
        UNION ALL
        SELECT
            ("timestamp" AT TIME ZONE 'UTC')::date,
            merchant_id,
            channel,
            ARRAY(SELECT unnest(reasons) ORDER BY 1) AS rules,
            count(*),
            count(*) FILTER (WHERE is_fraud),
            sum(amount),
            coalesce(sum(amount) FILTER (WHERE is_fraud), 0)
        FROM public.transactions
        GROUP BY 1, 2, 3, 4
    ) AS told
    WINDOW same AS (
        PARTITION BY day, merchant_id, channel, rule_set, transactions, frauds, amount, fraud_amount
    )
) AS compared
WHERE sides <> 2
ORDER BY day

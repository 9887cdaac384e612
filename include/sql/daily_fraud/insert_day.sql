-- One day of public.daily_fraud, from the verdicts as they are now. One statement: all of it sees the same verdicts.
INSERT INTO public.daily_fraud (day, merchant_id, channel, rules, transactions, frauds, amount, fraud_amount)
SELECT
    %(day)s::date,
    merchant_id,
    channel,
    rules,
    count(*),
    count(*) FILTER (WHERE is_fraud),
    sum(amount),
    coalesce(sum(amount) FILTER (WHERE is_fraud), 0)
FROM (
    SELECT merchant_id, channel, ARRAY(SELECT unnest(reasons) ORDER BY 1) AS rules, amount, true AS is_fraud
    FROM public.fraudtransaction
    WHERE "timestamp" >= %(day)s::date::timestamp AT TIME ZONE 'UTC'
        AND "timestamp" < (%(day)s::date + 1)::timestamp AT TIME ZONE 'UTC'
    UNION ALL
    SELECT merchant_id, channel, ARRAY[]::text[], amount, false
    FROM public.genuinetransaction
    WHERE "timestamp" >= %(day)s::date::timestamp AT TIME ZONE 'UTC'
        AND "timestamp" < (%(day)s::date + 1)::timestamp AT TIME ZONE 'UTC'
) AS verdict
GROUP BY merchant_id, channel, rules
RETURNING transactions

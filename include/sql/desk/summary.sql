-- Frauds added up by time, and by each of what they can be told apart by.
WITH chosen AS MATERIALIZED (
    SELECT scored_at, fraud.amount, fraud.merchant_id, merchants.merchant_name, channel,
        coalesce(merchants.country_code, 'unknown') AS country, reasons
    FROM public.fraudtransaction AS fraud
    LEFT JOIN public.merchants USING (merchant_id)
    WHERE {chosen}
)
SELECT 'time' AS by, to_char(date_bin(%(step)s, scored_at, %(since)s) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS value, NULL AS name, count(*) AS frauds,
    sum(amount) AS amount
FROM chosen
GROUP BY value
UNION ALL
SELECT 'channel', channel, NULL, count(*), sum(amount) FROM chosen GROUP BY channel
UNION ALL
SELECT 'country', country, NULL, count(*), sum(amount) FROM chosen GROUP BY country
UNION ALL
SELECT 'rule', rule, NULL, count(*), sum(amount) FROM chosen CROSS JOIN LATERAL unnest(reasons) AS rule GROUP BY rule
UNION ALL
(
    SELECT 'merchant', merchant_id, max(merchant_name), count(*), sum(amount)
    FROM chosen
    GROUP BY merchant_id
    ORDER BY count(*) DESC, merchant_id
    LIMIT 20
)

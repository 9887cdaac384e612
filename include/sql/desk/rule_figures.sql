-- What rules did in a period: how often each fired, by whether that counted; and of the newest of these, what was marked
-- since, and how long after the payment's own time the alert came.
WITH fired AS (
    SELECT rule, 'counted' AS mode, count(*) AS fired
    FROM public.fraudtransaction
    CROSS JOIN LATERAL unnest(reasons) AS rule
    WHERE scored_at >= %(since)s AND scored_at < %(until)s AND rule = ANY(%(rules)s)
    GROUP BY rule
    UNION ALL
    SELECT rule, mode, count(*)
    FROM ops.rule_hit
    WHERE rule = ANY(%(rules)s) AND scored_at >= %(since)s AND scored_at < %(until)s
    GROUP BY rule, mode
),
newest AS (
    SELECT rule, 'counted' AS mode, txn_id, seconds
    FROM (
        SELECT txn_id, reasons, extract(epoch FROM scored_at - "timestamp")::float8 AS seconds
        FROM public.fraudtransaction
        WHERE scored_at >= %(since)s AND scored_at < %(until)s
        ORDER BY scored_at DESC
        LIMIT %(newest)s
    ) AS fraud
    CROSS JOIN LATERAL unnest(reasons) AS rule
    UNION ALL
    SELECT rule, hit.mode, hit.txn_id, NULL
    FROM unnest(%(rules)s::text[]) AS rule
    CROSS JOIN LATERAL (
        SELECT mode, txn_id
        FROM ops.rule_hit
        WHERE rule_hit.rule = rule.rule AND scored_at >= %(since)s AND scored_at < %(until)s
        ORDER BY scored_at DESC
        LIMIT %(newest)s
    ) AS hit
),
told AS (
    SELECT rule, mode,
        count(*) FILTER (WHERE mark = 'confirmed') AS confirmed,
        count(*) FILTER (WHERE mark = 'false_alarm') AS false_alarms,
        avg((mark = 'confirmed')::integer)::float8 AS precision,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS p50_seconds,
        percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95_seconds
    FROM newest
    LEFT JOIN public.transaction_marks USING (txn_id)
    GROUP BY rule, mode
)
SELECT rule, mode, fired, coalesce(confirmed, 0) AS confirmed, coalesce(false_alarms, 0) AS false_alarms, precision,
    p50_seconds, p95_seconds
FROM fired
LEFT JOIN told USING (rule, mode)
ORDER BY rule, mode

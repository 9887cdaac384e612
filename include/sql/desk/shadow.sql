-- The view shadow_comparison, for the newest hits of some rules in a period.
SELECT hit.rule, hit.rules_version, count(*) AS hits,
    count(*) FILTER (WHERE seen.verdict = 'fraud') AS on_fraud,
    count(*) FILTER (WHERE seen.verdict = 'genuine') AS on_genuine,
    count(*) FILTER (WHERE mark = 'confirmed') AS confirmed,
    count(*) FILTER (WHERE mark = 'false_alarm') AS false_alarms,
    min(hit.scored_at) AS first_hit_at, max(hit.scored_at) AS last_hit_at
FROM unnest(%(rules)s::text[]) AS one (rule)
CROSS JOIN LATERAL (
    SELECT rule, rules_version, txn_id, scored_at
    FROM ops.rule_hit
    WHERE rule_hit.rule = one.rule AND scored_at >= %(since)s AND scored_at < %(until)s AND mode = 'shadow'
    ORDER BY scored_at DESC
    LIMIT %(newest)s
) AS hit
JOIN ops.transaction_seen AS seen USING (txn_id)
LEFT JOIN public.transaction_marks USING (txn_id)
GROUP BY hit.rule, hit.rules_version
ORDER BY hit.rule, last_hit_at DESC

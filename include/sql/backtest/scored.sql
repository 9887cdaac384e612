-- Every verdict of a period in the order of scoring, but for the order within a moment, which bronze knows.
SELECT txn_id, bronze_topic_id, bronze_partition, bronze_offset, scored_at, rules_version,
    coalesce(lists_version, 0), coalesce(score, 0), reasons
FROM (
    SELECT txn_id, bronze_topic_id, bronze_partition, bronze_offset, scored_at, rules_version, lists_version, score,
        reasons
    FROM public.fraudtransaction
    UNION ALL
    SELECT txn_id, bronze_topic_id, bronze_partition, bronze_offset, scored_at, rules_version, lists_version, score,
        NULL
    FROM public.genuinetransaction
) AS verdict
WHERE scored_at >= %(since)s AND scored_at < %(until)s
ORDER BY scored_at

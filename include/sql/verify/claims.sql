-- Ids with two verdicts, and verdicts and claims that do not go with each other.
SELECT 'two_verdicts', txn_id FROM public.fraudtransaction JOIN public.genuinetransaction USING (txn_id)
UNION ALL
SELECT 'verdict_without_claim', txn_id
FROM (
    SELECT txn_id, 'fraud' AS verdict, bronze_topic_id, bronze_partition, bronze_offset FROM public.fraudtransaction
    UNION ALL
    SELECT txn_id, 'genuine', bronze_topic_id, bronze_partition, bronze_offset FROM public.genuinetransaction
) AS given
WHERE NOT EXISTS (
    SELECT FROM ops.transaction_seen AS seen
    WHERE seen.txn_id = given.txn_id
        AND (seen.verdict, seen.topic_id, seen.partition_id, seen.record_offset)
            = (given.verdict, given.bronze_topic_id, given.bronze_partition, given.bronze_offset)
)
UNION ALL
SELECT 'claim_without_verdict', txn_id
FROM ops.transaction_seen
WHERE NOT EXISTS (SELECT FROM public.fraudtransaction WHERE fraudtransaction.txn_id = transaction_seen.txn_id)
    AND NOT EXISTS (SELECT FROM public.genuinetransaction WHERE genuinetransaction.txn_id = transaction_seen.txn_id)
ORDER BY 1, 2

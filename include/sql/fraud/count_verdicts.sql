-- What the batch's valid records are, whether this batch made them so or they were so already.
SELECT
    count(*) FILTER (WHERE own AND seen_verdict = 'fraud'),
    count(*) FILTER (WHERE own AND seen_verdict = 'genuine'),
    count(*) FILTER (WHERE NOT own)
FROM (
    SELECT
        seen.verdict AS seen_verdict,
        (staged.topic_id, staged.partition_id, staged.record_offset)
            = (seen.topic_id, seen.partition_id, seen.record_offset) AS own
    FROM verdict_staging AS staged
    JOIN ops.transaction_seen AS seen USING (txn_id)
) AS settled

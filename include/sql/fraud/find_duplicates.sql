-- The places of records whose txn_id belongs to another record. The very record that has the claim, read again, is none.
SELECT staged.place
FROM verdict_staging AS staged
JOIN ops.transaction_seen AS seen USING (txn_id)
WHERE (staged.topic_id, staged.partition_id, staged.record_offset)
    <> (seen.topic_id, seen.partition_id, seen.record_offset)

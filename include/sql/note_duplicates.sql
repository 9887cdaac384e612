-- Records whose txn_id belongs to another record. The very record that has the claim, read again, is no duplicate.
INSERT INTO ops.transaction_duplicate (topic_id, partition_id, record_offset, txn_id, same_body, raw)
SELECT staged.topic_id, staged.partition_id, staged.record_offset, txn_id, seen.body_hash = {body_hash}, staged.raw
FROM verdict_staging AS staged
JOIN ops.transaction_seen AS seen USING (txn_id)
WHERE (staged.topic_id, staged.partition_id, staged.record_offset)
    <> (seen.topic_id, seen.partition_id, seen.record_offset)
ON CONFLICT (topic_id, partition_id, record_offset) DO NOTHING

-- The records of find_duplicates.sql, with their bytes.
INSERT INTO ops.transaction_duplicate (topic_id, partition_id, record_offset, txn_id, same_body, raw)
SELECT staged.topic_id, staged.partition_id, staged.record_offset, txn_id, seen.body_hash = {body_hash}, later.raw
FROM verdict_staging AS staged
JOIN unnest(%(places)s::bigint[], %(raw)s::bytea[]) AS later (place, raw) USING (place)
JOIN ops.transaction_seen AS seen USING (txn_id)
ON CONFLICT (topic_id, partition_id, record_offset) DO NOTHING

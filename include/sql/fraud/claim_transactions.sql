-- Whoever inserts a txn_id here first has it, for ever; within a batch that is the first record by its place.
-- The hash is taken of the cleaned fields, so spellings that mean the same are the same body. A field that is NULL
-- counts as absent, so records from before and after a contract gained an optional field can be told equal.
INSERT INTO ops.transaction_seen (txn_id, verdict, body_hash, topic_id, partition_id, record_offset)
SELECT DISTINCT ON (txn_id) txn_id, verdict, {body_hash}, topic_id, partition_id, record_offset
FROM verdict_staging
WHERE verdict <> ''
ORDER BY txn_id, place
ON CONFLICT (txn_id) DO NOTHING

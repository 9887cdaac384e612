-- Where records are that were settled before, by their coordinates, and under which id.
WITH asked AS (
    SELECT topic_id, partition_id, record_offset
    FROM unnest(%(topic_ids)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[])
        AS record (topic_id, partition_id, record_offset)
)
SELECT topic_id, partition_id, record_offset, verdict, txn_id
FROM asked
JOIN ops.transaction_seen USING (topic_id, partition_id, record_offset)
UNION ALL
SELECT topic_id, partition_id, record_offset, 'duplicate', txn_id
FROM asked
JOIN ops.transaction_duplicate USING (topic_id, partition_id, record_offset)

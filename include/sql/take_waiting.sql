-- Locked in the order of the primary key, as everywhere, so that nobody waits in a circle.
SELECT topic_id, partition_id, record_offset, kafka_timestamp_ms, raw
FROM unnest(%(topic_ids)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[])
    AS chosen (topic_id, partition_id, record_offset)
JOIN ops.quarantine USING (topic_id, partition_id, record_offset)
WHERE redriven_at IS NULL
ORDER BY topic_id, partition_id, record_offset
FOR UPDATE OF quarantine

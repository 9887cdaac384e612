-- Locked in the order of the primary key, as everywhere, so that nobody waits in a circle.
-- What was refused before the time of its coming was noted came before it was refused.
SELECT topic_id, partition_id, record_offset, kafka_timestamp_ms,
    coalesce(taken_ms, extract(epoch FROM quarantined_at)::numeric * 1000)::bigint, raw
FROM unnest(%(topic_ids)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[])
    AS chosen (topic_id, partition_id, record_offset)
JOIN ops.quarantine USING (topic_id, partition_id, record_offset)
WHERE redriven_at IS NULL
ORDER BY topic_id, partition_id, record_offset
FOR UPDATE OF quarantine

UPDATE ops.quarantine
SET redriven_at = now()
FROM unnest(%(topic_ids)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[])
    AS landed (topic_id, partition_id, record_offset)
WHERE (quarantine.topic_id, quarantine.partition_id, quarantine.record_offset)
        = (landed.topic_id, landed.partition_id, landed.record_offset)
    AND redriven_at IS NULL

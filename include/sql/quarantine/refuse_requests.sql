UPDATE ops.quarantine
SET {refused}
FROM unnest(%(topic_ids)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[])
    AS refused (topic_id, partition_id, record_offset)
WHERE (quarantine.topic_id, quarantine.partition_id, quarantine.record_offset)
        = (refused.topic_id, refused.partition_id, refused.record_offset)
    AND {open}

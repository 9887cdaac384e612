UPDATE ops.quarantine
SET redriven_by_run = %(run)s, domain = %(domain)s
FROM unnest(%(topic_ids)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[])
    AS landing (topic_id, partition_id, record_offset)
WHERE (quarantine.topic_id, quarantine.partition_id, quarantine.record_offset)
        = (landing.topic_id, landing.partition_id, landing.record_offset)
    AND {open}

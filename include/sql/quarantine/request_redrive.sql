WITH asked AS (
    UPDATE ops.quarantine
    SET redrive_requested_at = coalesce(redrive_requested_at, now())
    FROM unnest(%(topic_ids)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[])
        AS chosen (topic_id, partition_id, record_offset)
    WHERE (quarantine.topic_id, quarantine.partition_id, quarantine.record_offset)
            = (chosen.topic_id, chosen.partition_id, chosen.record_offset)
        AND redriven_at IS NULL
    RETURNING quarantine.topic_id, quarantine.partition_id, quarantine.record_offset
)
INSERT INTO redrive_request
SELECT topic_id, partition_id, record_offset FROM asked
ON CONFLICT DO NOTHING

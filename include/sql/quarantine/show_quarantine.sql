SELECT topic_id, partition_id, record_offset, domain, topic, kafka_timestamp_ms, octet_length(raw), reasons,
    contract_version, quarantined_at, redrive_requested_at, redriven_at, raw
FROM ops.quarantine
WHERE (topic_id, partition_id, record_offset) = (%(topic_id)s, %(partition)s, %(offset)s)

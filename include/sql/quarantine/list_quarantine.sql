SELECT topic_id, partition_id, record_offset, domain, topic, kafka_timestamp_ms, octet_length(raw), reasons,
    contract_version, quarantined_at, redrive_requested_at, redriven_at
FROM ops.quarantine
WHERE {selection}
ORDER BY quarantined_at DESC, topic_id DESC, partition_id DESC, record_offset DESC
LIMIT %(limit)s

-- A record is kept once: seeing it again (a replayed batch, a repeated run) adds nothing and changes nothing.
INSERT INTO ops.quarantine
    (domain, topic, topic_id, partition_id, record_offset, kafka_timestamp_ms, raw, reasons, contract_version)
SELECT domain, topic, topic_id, partition_id, record_offset, kafka_timestamp_ms, raw, reasons, contract_version
FROM quarantine_staging
ON CONFLICT (topic_id, partition_id, record_offset) DO NOTHING

CREATE TEMPORARY TABLE quarantine_staging ON COMMIT DROP AS
SELECT domain, topic, topic_id, partition_id, record_offset, kafka_timestamp_ms, taken_ms, raw, reasons, contract_version
FROM ops.quarantine
WITH NO DATA

-- A record is kept once: seeing it again (a replayed batch, a repeated run) adds nothing and changes nothing. One that
-- had been driven through again and is refused now (silver is rebuilt under a stricter contract) waits again. One that
-- waits under the name of another domain is of the domain that reads its topic now.
INSERT INTO ops.quarantine AS kept
    (domain, topic, topic_id, partition_id, record_offset, kafka_timestamp_ms, taken_ms, raw, reasons, contract_version)
SELECT domain, topic, topic_id, partition_id, record_offset, kafka_timestamp_ms, taken_ms, raw, reasons, contract_version
FROM quarantine_staging
ON CONFLICT (topic_id, partition_id, record_offset) DO UPDATE
SET domain = excluded.domain, topic = excluded.topic, reasons = excluded.reasons,
    contract_version = excluded.contract_version, quarantined_at = now(),
    redriven_at = NULL, redrive_requested_at = NULL, redriven_by_run = NULL,
    settled_in_silver_at = NULL
WHERE kept.redriven_at IS NOT NULL OR kept.domain <> excluded.domain

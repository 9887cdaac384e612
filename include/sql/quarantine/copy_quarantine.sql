COPY quarantine_staging
    (domain, topic, topic_id, partition_id, record_offset, kafka_timestamp_ms, taken_ms, raw, reasons, contract_version)
FROM STDIN WITH (FORMAT binary)

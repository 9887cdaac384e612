COPY verdict_staging
    (place, verdict, {columns}, rules_version, reasons, evidence, score, topic_id, partition_id, record_offset)
FROM STDIN (FORMAT csv)

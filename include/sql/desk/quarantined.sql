-- By the index on domain and time; what was refused at one moment is put in order by its place.
SELECT topic_id, partition_id, record_offset, domain, topic, kafka_timestamp_ms, octet_length(raw), reasons,
    contract_version, quarantined_at, redrive_requested_at, redriven_at, substring(raw FROM 1 FOR %(beginning)s)
FROM ops.quarantine
WHERE {selection}
    AND (
        %(before_at)s::timestamptz IS NULL
        OR (quarantined_at, topic_id, partition_id, record_offset)
            < (%(before_at)s, %(topic_id)s::text, %(partition)s::integer, %(offset)s::bigint)
    )
ORDER BY quarantined_at DESC, topic_id DESC, partition_id DESC, record_offset DESC
LIMIT %(limit)s

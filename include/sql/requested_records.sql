-- As many as have the limit in bytes, and the one that reaches it: what one run holds in memory.
SELECT topic_id, partition_id, record_offset, kafka_timestamp_ms, raw
FROM (
    SELECT topic_id, partition_id, record_offset, kafka_timestamp_ms, raw,
        sum(octet_length(raw)) OVER before AS bytes_before
    FROM ops.quarantine
    WHERE domain = %(domain)s AND redriven_at IS NULL AND redrive_requested_at IS NOT NULL
    WINDOW before AS (
        ORDER BY topic_id, partition_id, record_offset ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
) AS requested
WHERE coalesce(bytes_before, 0) < %(limit_bytes)s
ORDER BY topic_id, partition_id, record_offset

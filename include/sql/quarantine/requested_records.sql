-- As many as have the limit in bytes, and the one that reaches it: what one run holds in memory.
-- What was refused before the time of its coming was noted came before it was refused.
SELECT topic_id, partition_id, record_offset, kafka_timestamp_ms, taken_ms, raw
FROM (
    SELECT topic_id, partition_id, record_offset, kafka_timestamp_ms, raw,
        coalesce(taken_ms, extract(epoch FROM quarantined_at)::numeric * 1000)::bigint AS taken_ms,
        sum(octet_length(raw)) OVER before AS bytes_before
    FROM ops.quarantine
    WHERE domain = %(domain)s AND {open} AND {asked} AND {passed}
    WINDOW before AS (
        ORDER BY topic_id, partition_id, record_offset ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
) AS requested
WHERE coalesce(bytes_before, 0) < %(limit_bytes)s
ORDER BY topic_id, partition_id, record_offset

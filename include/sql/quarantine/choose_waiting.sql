-- In the order in which they were refused, which is about that of the log: of two with one txn_id the older one lands.
SELECT domain, topic_id, partition_id, record_offset, coalesce(octet_length(raw), 0)
FROM ops.quarantine
WHERE {selection}
ORDER BY domain, quarantined_at, topic_id, partition_id, record_offset

-- The place of every transaction that has one, as its coordinates in Kafka: many offsets, of 8 bytes each, to a row,
-- because a row for each takes longer to send than to find. A redriven record is where it landed.
SELECT bronze_topic_id, bronze_partition, 'fraud', string_agg(int8send(bronze_offset), '')
FROM public.fraudtransaction
GROUP BY bronze_topic_id, bronze_partition, bronze_offset / {span}
UNION ALL
SELECT bronze_topic_id, bronze_partition, 'genuine', string_agg(int8send(bronze_offset), '')
FROM public.genuinetransaction
GROUP BY bronze_topic_id, bronze_partition, bronze_offset / {span}
UNION ALL
SELECT topic_id, partition_id, 'duplicate', string_agg(int8send(record_offset), '')
FROM ops.transaction_duplicate
GROUP BY topic_id, partition_id, record_offset / {span}
UNION ALL
SELECT topic_id, partition_id, 'quarantine', string_agg(int8send(record_offset), '')
FROM ops.quarantine
WHERE domain = {domain} AND redriven_at IS NULL
GROUP BY topic_id, partition_id, record_offset / {span}

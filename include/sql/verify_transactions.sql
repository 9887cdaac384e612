-- The place of every transaction that has one, as its coordinates in Kafka. A redriven record is where it landed.
COPY (
    SELECT bronze_topic_id, bronze_partition, bronze_offset, 'fraud' FROM public.fraudtransaction
    UNION ALL SELECT bronze_topic_id, bronze_partition, bronze_offset, 'genuine' FROM public.genuinetransaction
    UNION ALL SELECT topic_id, partition_id, record_offset, 'duplicate' FROM ops.transaction_duplicate
    UNION ALL SELECT topic_id, partition_id, record_offset, 'quarantine' FROM ops.quarantine
        WHERE domain = {domain} AND redriven_at IS NULL
) TO STDOUT WITH (FORMAT csv)

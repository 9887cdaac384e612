-- As in insert_fraud.sql.
INSERT INTO public.genuinetransaction
    ({columns}, rules_version, bronze_topic_id, bronze_partition, bronze_offset)
SELECT {columns}, rules_version, topic_id, partition_id, record_offset
FROM verdict_staging
{owned}
WHERE verdict = 'genuine'
ON CONFLICT (txn_id) DO NOTHING

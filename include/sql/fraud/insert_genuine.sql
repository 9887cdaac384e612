-- As in insert_fraud.sql.
INSERT INTO public.genuinetransaction
    ({columns}, rules_version, bronze_topic_id, bronze_partition, bronze_offset, score, scored_at, lists_version)
SELECT {columns}, rules_version, topic_id, partition_id, record_offset, score, %(moment)s, %(lists_version)s
FROM verdict_staging
{owned}
WHERE verdict = 'genuine'
ON CONFLICT (txn_id) DO NOTHING

-- Only the record that has the claim gets in, and only under the verdict it was claimed with: a replay after the
-- rules changed must not put into one table what is already in the other.
INSERT INTO public.fraudtransaction
    ({columns}, rules_version, reasons, evidence, bronze_topic_id, bronze_partition, bronze_offset,
     score, scored_at, lists_version)
SELECT {columns}, rules_version, reasons, evidence, topic_id, partition_id, record_offset,
    score, %(moment)s, %(lists_version)s
FROM verdict_staging
{owned}
WHERE verdict = 'fraud'
ORDER BY place
ON CONFLICT (txn_id) DO NOTHING
RETURNING {columns}, evidence, score

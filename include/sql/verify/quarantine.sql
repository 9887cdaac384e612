-- Where the records are that wait in quarantine, in the form of verify_transactions. One that a published run has taken
-- out is in silver already, even where that run died before it could say so here.
SELECT topic_id, partition_id, 'quarantine', string_agg(int8send(record_offset), '')
FROM ops.quarantine
WHERE domain = {domain} AND redriven_at IS NULL AND (redriven_by_run IS NULL OR redriven_by_run IS DISTINCT FROM {run})
GROUP BY topic_id, partition_id, record_offset / {span}

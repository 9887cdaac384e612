-- Where the records are that have got their verdict after all, and that silver need not have yet, in the form of
-- verify_transactions. One that a published run has taken in is in silver, also where that run died before it said so.
SELECT topic_id, partition_id, 'quarantine', string_agg(int8send(record_offset), '')
FROM ops.quarantine
WHERE domain = {domain} AND redriven_at IS NOT NULL AND settled_in_silver_at IS NULL
    AND redriven_by_run IS DISTINCT FROM {run}
GROUP BY topic_id, partition_id, record_offset / {span}

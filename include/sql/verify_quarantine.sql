-- Where the records are that wait in quarantine. One that a published run has taken out is in silver already, even
-- where that run died before it could say so here.
COPY (
    SELECT topic_id, partition_id, record_offset, 'quarantine' FROM ops.quarantine
    WHERE domain = {domain} AND redriven_at IS NULL AND (redriven_by_run IS NULL OR redriven_by_run IS DISTINCT FROM {run})
) TO STDOUT WITH (FORMAT csv)

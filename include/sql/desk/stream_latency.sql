-- How long after their own time the newest records of each partition got their verdicts. The newest are those before
-- the end of the last batch; each is looked up by index, whatever the planner thinks of how many there are.
WITH RECURSIVE checkpoint AS (
    SELECT min(checkpoint_id) AS id FROM ops.stream_batch
    UNION ALL
    SELECT (SELECT min(checkpoint_id) FROM ops.stream_batch WHERE checkpoint_id > checkpoint.id)
    FROM checkpoint
    WHERE checkpoint.id IS NOT NULL
),
batch AS (
    SELECT newest.end_positions
    FROM checkpoint
    CROSS JOIN LATERAL (
        SELECT end_positions, committed_at
        FROM ops.stream_batch
        WHERE stream_batch.checkpoint_id = checkpoint.id
        ORDER BY batch_id DESC
        LIMIT 1
    ) AS newest
    ORDER BY newest.committed_at DESC
    LIMIT 1
),
recent AS (
    SELECT coalesce(
        (SELECT scored_at - "timestamp" FROM public.genuinetransaction AS genuine WHERE genuine.txn_id = seen.txn_id),
        (SELECT scored_at - "timestamp" FROM public.fraudtransaction AS fraud WHERE fraud.txn_id = seen.txn_id)
    ) AS latency
    FROM batch
    CROSS JOIN LATERAL jsonb_each(end_positions) AS topic (id, partitions)
    CROSS JOIN LATERAL jsonb_each_text(partitions) AS place (partition_id, ends)
    CROSS JOIN LATERAL (
        SELECT txn_id
        FROM ops.transaction_seen
        WHERE record_offset >= ends::bigint - %(of_partition)s AND record_offset < ends::bigint
            AND topic_id = topic.id AND transaction_seen.partition_id = place.partition_id::integer
        ORDER BY record_offset DESC
        LIMIT %(of_partition)s
    ) AS seen
)
SELECT count(latency) AS verdicts,
    extract(epoch FROM percentile_cont(0.5) WITHIN GROUP (ORDER BY latency))::float8 AS p50_seconds,
    extract(epoch FROM percentile_cont(0.95) WITHIN GROUP (ORDER BY latency))::float8 AS p95_seconds
FROM recent

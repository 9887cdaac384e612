-- How far the fraud stream has read each partition, under each checkpoint it ever had, and when it last gave a verdict.
-- The checkpoints are found one after the other along the primary key: DISTINCT would read every batch there ever was.
WITH RECURSIVE checkpoint AS (
    SELECT min(checkpoint_id) AS id FROM ops.stream_batch
    UNION ALL
    SELECT (SELECT min(checkpoint_id) FROM ops.stream_batch WHERE checkpoint_id > checkpoint.id)
    FROM checkpoint
    WHERE checkpoint.id IS NOT NULL
)
SELECT newest.end_positions, judged.committed_at
FROM checkpoint
CROSS JOIN LATERAL (
    SELECT end_positions
    FROM ops.stream_batch
    WHERE stream_batch.checkpoint_id = checkpoint.id
    ORDER BY batch_id DESC
    LIMIT 1
) AS newest
LEFT JOIN LATERAL (
    SELECT committed_at
    FROM ops.stream_batch
    WHERE stream_batch.checkpoint_id = checkpoint.id AND fraud + genuine > 0
    ORDER BY batch_id DESC
    LIMIT 1
) AS judged ON true

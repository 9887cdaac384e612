-- How far the fraud stream has read each partition, under each checkpoint it ever had.
SELECT newest.end_positions
FROM (SELECT DISTINCT checkpoint_id FROM ops.stream_batch) AS checkpoint
CROSS JOIN LATERAL (
    SELECT end_positions
    FROM ops.stream_batch
    WHERE stream_batch.checkpoint_id = checkpoint.checkpoint_id
    ORDER BY batch_id DESC
    LIMIT 1
) AS newest

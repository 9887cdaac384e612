SELECT batch_id, end_positions
FROM ops.stream_batch
WHERE checkpoint_id = %(checkpoint_id)s
ORDER BY batch_id DESC
LIMIT 1

-- Of each checkpoint stay its newest batch, from which it goes on and by which a replay is known, and its newest with a
-- verdict, whose time status tells.
WITH kept AS (
    SELECT
        checkpoint_id,
        max(batch_id) AS newest,
        max(batch_id) FILTER (WHERE fraud + genuine > 0) AS judged
    FROM ops.stream_batch
    GROUP BY checkpoint_id
)
DELETE FROM ops.stream_batch AS batch
USING kept
WHERE batch.checkpoint_id = kept.checkpoint_id
    AND batch.committed_at < now() - %(age)s
    AND batch.batch_id <> kept.newest
    AND batch.batch_id IS DISTINCT FROM kept.judged

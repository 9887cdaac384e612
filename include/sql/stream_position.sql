-- How far the fraud stream has read each partition, under whichever checkpoint it got furthest.
SELECT DISTINCT ON (checkpoint_id) end_positions FROM ops.stream_batch ORDER BY checkpoint_id, batch_id DESC

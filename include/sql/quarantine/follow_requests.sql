-- What became of the session's requests: landed, refused by silver, still to be looked at.
SELECT
    domain,
    count(*) FILTER (WHERE redriven_at IS NOT NULL),
    count(*) FILTER (WHERE redriven_at IS NULL AND redrive_requested_at IS NULL),
    count(*) FILTER (WHERE redriven_at IS NULL AND redrive_requested_at IS NOT NULL)
FROM redrive_request
JOIN ops.quarantine USING (topic_id, partition_id, record_offset)
GROUP BY domain

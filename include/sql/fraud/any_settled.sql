-- Whether any record within ranges of offsets, each range of one partition, has a verdict or is a duplicate. By ORDER BY
-- the planner takes the index: how few rows a range has, or none, it does not know, and LIMIT alone would have it read
-- the table in hope of the first.
SELECT EXISTS (
    SELECT
    FROM unnest(%(topic_ids)s::text[], %(partitions)s::integer[], %(firsts)s::bigint[], %(lasts)s::bigint[])
        AS span (topic_id, partition_id, first_offset, last_offset)
    CROSS JOIN LATERAL (
        (
            SELECT FROM ops.transaction_seen
            WHERE record_offset BETWEEN span.first_offset AND span.last_offset
                AND (topic_id, partition_id) = (span.topic_id, span.partition_id)
            ORDER BY record_offset
            LIMIT 1
        )
        UNION ALL
        (
            SELECT FROM ops.transaction_duplicate
            WHERE (topic_id, partition_id) = (span.topic_id, span.partition_id)
                AND record_offset BETWEEN span.first_offset AND span.last_offset
            ORDER BY record_offset
            LIMIT 1
        )
    ) AS settled
)

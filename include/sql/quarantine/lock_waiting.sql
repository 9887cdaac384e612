-- The waiting records within ranges of offsets, each range of one partition. They are locked, always in the same order
-- (the ranges come sorted), so that of two who give one of them its place the second sees that it has one. LATERAL,
-- because ranges are few and mostly hold nothing: one look at the primary key for each.
SELECT waiting.topic_id, waiting.partition_id, waiting.record_offset
FROM unnest(%(topic_ids)s::text[], %(partitions)s::integer[], %(firsts)s::bigint[], %(lasts)s::bigint[])
    WITH ORDINALITY AS span (topic_id, partition_id, first_offset, last_offset, place)
CROSS JOIN LATERAL (
    SELECT topic_id, partition_id, record_offset
    FROM ops.quarantine
    WHERE topic_id = span.topic_id AND partition_id = span.partition_id
        AND record_offset BETWEEN span.first_offset AND span.last_offset
        AND redriven_at IS NULL
    ORDER BY record_offset
    FOR UPDATE
) AS waiting

-- The records within ranges of offsets, each range of one partition, that wait in quarantine or have got their verdict
-- after all, which silver does not know yet; and whether they have.
SELECT unsettled.topic_id, unsettled.partition_id, unsettled.record_offset, unsettled.redriven_at IS NOT NULL
FROM unnest(%(topic_ids)s::text[], %(partitions)s::integer[], %(firsts)s::bigint[], %(lasts)s::bigint[])
    AS span (topic_id, partition_id, first_offset, last_offset)
JOIN ops.quarantine AS unsettled
    ON unsettled.topic_id = span.topic_id AND unsettled.partition_id = span.partition_id
    AND unsettled.record_offset BETWEEN span.first_offset AND span.last_offset
WHERE unsettled.settled_in_silver_at IS NULL

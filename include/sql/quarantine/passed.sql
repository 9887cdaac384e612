    -- Silver has read beyond the record. Its position is an object of objects, by topic id and partition.
    record_offset < coalesce((%(position)s::jsonb -> topic_id ->> partition_id::text)::bigint, 0)

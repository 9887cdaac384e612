    (%(domain)s::text IS NULL OR domain = %(domain)s)
    -- One reason that has both, not one with the code and another with the field.
    AND reasons @> %(reasons)s::jsonb
    AND (%(since)s::timestamptz IS NULL OR quarantined_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR quarantined_at < %(until)s)
    AND (%(done)s::boolean IS NULL OR (redriven_at IS NOT NULL) = %(done)s)

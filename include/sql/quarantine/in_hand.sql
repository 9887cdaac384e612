SELECT EXISTS (
    SELECT FROM ops.quarantine
    WHERE domain = %(domain)s
        AND redriven_at IS NULL AND (redrive_requested_at IS NOT NULL OR redriven_by_run IS NOT NULL)
)

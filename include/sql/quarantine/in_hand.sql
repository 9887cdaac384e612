SELECT EXISTS (
    SELECT FROM ops.quarantine
    WHERE domain = %(domain)s AND {open}
        AND (redriven_by_run IS NOT NULL OR ({asked} AND {passed}))
)

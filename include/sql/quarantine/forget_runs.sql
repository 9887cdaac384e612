UPDATE ops.quarantine
SET redriven_by_run = NULL
WHERE domain = %(domain)s AND redriven_by_run IS NOT NULL AND {open}

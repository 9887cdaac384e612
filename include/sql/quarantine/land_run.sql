UPDATE ops.quarantine
SET redriven_at = now()
WHERE domain = %(domain)s AND redriven_by_run = %(run)s AND redriven_at IS NULL

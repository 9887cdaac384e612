UPDATE ops.quarantine
SET {landed_at} = now()
WHERE domain = %(domain)s AND redriven_by_run = %(run)s AND {open}

UPDATE ops.rejected_alarm
SET accepted_at = now()
WHERE accepted_at IS NULL AND (domain, raised_at, rejected) = (%(domain)s, %(raised_at)s, %(rejected)s)

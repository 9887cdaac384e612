SELECT domain, raised_at, since, records, rejected, limit_share, reasons
FROM ops.rejected_alarm
WHERE accepted_at IS NULL AND (%(domain)s::text IS NULL OR domain = %(domain)s)
ORDER BY domain

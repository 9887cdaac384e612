-- Of each value the newest change that still holds: it decides whether the value is on the list. Where there is none,
-- the rules file does.
SELECT DISTINCT ON (list, value) version, list, value, change, kind, reason, by, until, changed_at
FROM ops.list_change
WHERE list = ANY(%(lists)s) AND (until IS NULL OR until > clock_timestamp())
ORDER BY list, value, version DESC

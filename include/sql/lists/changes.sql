SELECT version, list, value, change, kind, reason, by, until, changed_at
FROM ops.list_change
WHERE list = ANY(%(lists)s)
ORDER BY version

SELECT asset, check_name, kind, severity, day, passed, rows, failing, value, limits, examples, snapshot_id::text, run,
    checked_at
FROM ops.check_newest
WHERE %(asset)s::text IS NULL OR asset = %(asset)s
ORDER BY asset, check_name, day

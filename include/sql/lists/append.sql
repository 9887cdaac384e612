INSERT INTO ops.list_change (version, list, value, change, kind, reason, by, until)
VALUES (%(version)s, %(list)s, %(value)s, %(change)s, %(kind)s, %(reason)s, %(by)s, %(until)s)
RETURNING version, list, value, change, kind, reason, by, until, changed_at

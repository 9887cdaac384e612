SELECT number, version, content, promoted_at, promoted_by, approved_in, approved_at, note
FROM ops.rules_promotion
ORDER BY number DESC
LIMIT %(most)s

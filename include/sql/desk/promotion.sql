-- A promotion, and the one before it.
SELECT number, version, content, promoted_at, promoted_by, approved_in, approved_at, note
FROM ops.rules_promotion
WHERE number <= %(number)s
ORDER BY number DESC
LIMIT 2

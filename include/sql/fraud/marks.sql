-- Marks of users' or merchants' transactions that became known from a moment on, and until when each was the newest.
SELECT user_id, merchant_id, mark AS kind,
    (extract(epoch FROM known_at) * 1000000)::bigint AS known_at,
    (extract(epoch FROM lead(known_at) OVER (PARTITION BY txn_id ORDER BY known_at)) * 1000000)::bigint AS until
FROM ops.mark
WHERE {key} = ANY(%(ids)s) AND known_at >= %(since)s

-- What was scored of users or merchants, each from a moment of its own on.
COPY (
    SELECT txn_id, user_id, amount, merchant_id, channel, location,
        (extract(epoch FROM "timestamp") * 1000000)::bigint
    FROM unnest({ids}::text[], {sinces}::timestamptz[]) AS asked (id, since)
    CROSS JOIN LATERAL (
        SELECT txn_id, user_id, amount, merchant_id, channel, location, "timestamp"
        FROM public.fraudtransaction
        WHERE {key} = asked.id AND "timestamp" >= asked.since AND scored_at < {before}
        UNION ALL
        SELECT txn_id, user_id, amount, merchant_id, channel, location, "timestamp"
        FROM public.genuinetransaction
        WHERE {key} = asked.id AND "timestamp" >= asked.since AND scored_at < {before}
    ) AS scored
) TO STDOUT (FORMAT csv)

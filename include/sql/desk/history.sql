-- A user's transactions around a moment: the nearest before it and the nearest after it.
SELECT txn_id, "timestamp", merchant_id, amount, channel, location, is_fraud
FROM (
    (
        SELECT txn_id, "timestamp", merchant_id, amount, channel, location, true AS is_fraud
        FROM public.fraudtransaction
        WHERE user_id = %(user_id)s AND "timestamp" <= %(moment)s
        ORDER BY "timestamp" DESC
        LIMIT %(before)s
    )
    UNION ALL
    (
        SELECT txn_id, "timestamp", merchant_id, amount, channel, location, false
        FROM public.genuinetransaction
        WHERE user_id = %(user_id)s AND "timestamp" <= %(moment)s
        ORDER BY "timestamp" DESC
        LIMIT %(before)s
    )
    ORDER BY "timestamp" DESC, txn_id
    LIMIT %(before)s
) AS earlier
UNION ALL
SELECT txn_id, "timestamp", merchant_id, amount, channel, location, is_fraud
FROM (
    (
        SELECT txn_id, "timestamp", merchant_id, amount, channel, location, true AS is_fraud
        FROM public.fraudtransaction
        WHERE user_id = %(user_id)s AND "timestamp" > %(moment)s
        ORDER BY "timestamp"
        LIMIT %(after)s
    )
    UNION ALL
    (
        SELECT txn_id, "timestamp", merchant_id, amount, channel, location, false
        FROM public.genuinetransaction
        WHERE user_id = %(user_id)s AND "timestamp" > %(moment)s
        ORDER BY "timestamp"
        LIMIT %(after)s
    )
    ORDER BY "timestamp", txn_id
    LIMIT %(after)s
) AS later
ORDER BY "timestamp", txn_id

SELECT txn_id, user_id, amount, merchant_id, channel, location, "timestamp", reasons,
    ARRAY(SELECT fired ->> 'message' FROM jsonb_array_elements(evidence) AS fired) AS messages,
    scored_at
FROM public.fraudtransaction
ORDER BY scored_at DESC, txn_id DESC
LIMIT %(limit)s

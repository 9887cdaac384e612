SELECT txn_id, user_id, amount, channel, location,
    ARRAY(SELECT fired ->> 'message' FROM jsonb_array_elements(evidence) AS fired) AS messages
FROM public.fraudtransaction
ORDER BY scored_at DESC, txn_id DESC
LIMIT %(limit)s

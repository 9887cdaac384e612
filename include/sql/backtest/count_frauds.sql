-- How many frauds, by their labels, got a verdict within a period.
SELECT count(*)
FROM label
JOIN (
    SELECT txn_id, scored_at FROM public.fraudtransaction
    UNION ALL
    SELECT txn_id, scored_at FROM public.genuinetransaction
) AS verdict USING (txn_id)
WHERE scenario IS NOT NULL AND scored_at >= %(since)s AND scored_at < %(until)s

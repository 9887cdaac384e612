-- Each label with the verdict that its transaction got, if any.
CREATE TEMPORARY TABLE settled ON COMMIT DROP AS
SELECT
    label.*,
    verdict.caught,
    verdict.user_id,
    verdict.amount,
    verdict."timestamp",
    verdict.score,
    verdict.reasons
FROM label
LEFT JOIN (
    SELECT txn_id, true AS caught, user_id, amount, "timestamp", coalesce(score, 100) AS score, reasons
    FROM fraudtransaction
    UNION ALL
    SELECT txn_id, false, user_id, amount, "timestamp", coalesce(score, 0), NULL
    FROM genuinetransaction
) AS verdict USING (txn_id)

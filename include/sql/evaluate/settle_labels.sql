-- One label per transaction, with the verdict it got, if any. This is where labels of several sources become one: of two
-- that contradict each other, that of a fraud counts.
CREATE TEMPORARY TABLE settled ON COMMIT DROP AS
SELECT
    label.*,
    verdict.caught,
    verdict.user_id,
    verdict.amount,
    verdict."timestamp",
    verdict.score,
    verdict.reasons
FROM (
    SELECT DISTINCT ON (txn_id) txn_id, scenario, case_id
    FROM label_staging
    ORDER BY txn_id, scenario, case_id
) AS label
LEFT JOIN (
    SELECT txn_id, true AS caught, user_id, amount, "timestamp", coalesce(score, 100) AS score, reasons
    FROM fraudtransaction
    UNION ALL
    SELECT txn_id, false, user_id, amount, "timestamp", coalesce(score, 0), NULL
    FROM genuinetransaction
) AS verdict USING (txn_id)

-- One label per transaction, with the verdict it got, if any.
CREATE TEMPORARY TABLE settled ON COMMIT DROP AS
SELECT
    label.scenario,
    CASE WHEN fraud.txn_id IS NOT NULL THEN 'fraud' WHEN genuine.txn_id IS NOT NULL THEN 'genuine' END AS verdict,
    coalesce(fraud.reasons, '{}') AS reasons
FROM (SELECT DISTINCT ON (txn_id) txn_id, scenario FROM label_staging ORDER BY txn_id, scenario) AS label
LEFT JOIN fraudtransaction AS fraud USING (txn_id)
LEFT JOIN genuinetransaction AS genuine USING (txn_id)

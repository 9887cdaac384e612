-- One label per transaction. Of two that contradict each other, that of a fraud counts; what an analyst said of an alert
-- counts where the transaction has no label.
CREATE TEMPORARY TABLE label AS
SELECT DISTINCT ON (txn_id) txn_id, scenario, case_id
FROM (
    SELECT txn_id, scenario, case_id FROM label_staging
    UNION ALL
    SELECT txn_id, CASE mark WHEN 'confirmed' THEN 'confirmed' END, case_id::text
    FROM public.transaction_marks AS marked
    WHERE NOT EXISTS (SELECT FROM label_staging AS staged WHERE staged.txn_id = marked.txn_id)
) AS told
ORDER BY txn_id, scenario, case_id

-- Lives as long as the session and is empty at the start of each transaction. No constraints: the tables have them.
CREATE TEMPORARY TABLE IF NOT EXISTS verdict_staging ON COMMIT DELETE ROWS AS
SELECT 0::bigint AS place, ''::text AS verdict, {columns}, rules_version, reasons, evidence, score,
    bronze_topic_id AS topic_id, bronze_partition AS partition_id, bronze_offset AS record_offset
FROM public.fraudtransaction
WITH NO DATA

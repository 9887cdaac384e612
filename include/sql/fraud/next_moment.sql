-- Scoring is serial: who scores holds this row until its transaction ends. Also which transaction scored last.
WITH last AS (
    SELECT moment, transaction_id FROM ops.scoring FOR UPDATE
)
UPDATE ops.scoring
SET moment = greatest(clock_timestamp(), last.moment + interval '1 microsecond'),
    transaction_id = pg_current_xact_id()::text
FROM last
RETURNING scoring.moment, scoring.lists_version, scoring.rules_promotion, last.transaction_id, scoring.transaction_id

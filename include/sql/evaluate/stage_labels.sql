-- Lives as long as the session. No key: a producer that tried again may have sent a label twice.
CREATE TEMPORARY TABLE label_staging (txn_id text NOT NULL, scenario text, case_id text)

-- Duplicates that say something else than the record that has their id, and records that were redriven.
SELECT
    (SELECT count(*) FROM ops.transaction_duplicate WHERE NOT same_body),
    (SELECT count(*) FROM ops.quarantine WHERE domain = %(domain)s AND redriven_at IS NOT NULL)

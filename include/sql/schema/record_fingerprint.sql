INSERT INTO ops.schema_state (fingerprint) VALUES (%(fingerprint)s)
ON CONFLICT (only_row) DO UPDATE SET fingerprint = excluded.fingerprint, applied_at = now()

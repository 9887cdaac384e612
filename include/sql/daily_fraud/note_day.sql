-- For which version of silver the day was made. Of two runs at once the one that waited may know an older one.
INSERT INTO ops.daily_fraud_day AS known (day, silver_table_uuid, silver_version)
VALUES (%(day)s, %(table_uuid)s, %(version)s)
ON CONFLICT (day) DO UPDATE SET
    silver_table_uuid = excluded.silver_table_uuid,
    silver_version = CASE
        WHEN known.silver_table_uuid = excluded.silver_table_uuid
            THEN greatest(known.silver_version, excluded.silver_version)
        ELSE excluded.silver_version
    END,
    rebuilt_at = clock_timestamp()

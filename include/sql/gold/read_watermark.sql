SELECT silver_table_uuid, silver_version, silver_snapshot_id, loaded_at, rows
FROM ops.gold_watermark
WHERE domain = %(domain)s

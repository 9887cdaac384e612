UPDATE ops.gold_watermark
SET silver_table_uuid = %(table_uuid)s, silver_version = %(silver_version)s, silver_snapshot_id = %(snapshot_id)s,
    rows = %(rows)s, loaded_at = now()
WHERE domain = %(domain)s

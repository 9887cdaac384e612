SELECT day, silver_version FROM ops.daily_fraud_day WHERE silver_table_uuid = %(table_uuid)s

-- Only when all of silver is in staging.
DELETE FROM {table} AS gold
WHERE NOT EXISTS (SELECT FROM gold_staging AS silver WHERE silver.{key} = gold.{key})

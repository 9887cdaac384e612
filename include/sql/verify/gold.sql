-- Where gold is not what silver is, row by row and column by column. All of silver is in staging.
SELECT
    CASE WHEN gold.{key} IS NULL THEN 'gold_misses' WHEN silver.{key} IS NULL THEN 'gold_adds' ELSE 'gold_differs' END,
    coalesce(silver.{key}, gold.{key})
FROM gold_staging AS silver
FULL JOIN {table} AS gold ON gold.{key} = silver.{key}
WHERE ({silver_columns}) IS DISTINCT FROM ({gold_columns})
ORDER BY 1, 2

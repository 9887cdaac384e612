-- Of a staged row: whether the merge will write it, see merge_gold.sql.
NOT EXISTS (
    SELECT FROM {table} AS gold
    WHERE gold.{key} = silver.{key}
        AND (
            NOT ({mirror} OR ({silver_order}) >= ({gold_order}))
            OR ({silver_columns}) IS NOT DISTINCT FROM ({gold_columns})
        )
)

-- Newer wins, by Domain.newest_by as in silver. {mirror} is true when silver was made anew and all of it is in staging:
-- then silver is right even where gold holds something newer. A row that would not change is not written, so its
-- loaded_at stays.
WITH merged AS (
    MERGE INTO {table} AS gold
    USING gold_staging AS silver
    ON gold.{key} = silver.{key}
    WHEN MATCHED
        AND ({mirror} OR ({silver_order}) >= ({gold_order}))
        AND ({silver_columns}) IS DISTINCT FROM ({gold_columns})
    THEN UPDATE SET ({columns}, loaded_at) = ROW({silver_columns}, now())
    WHEN NOT MATCHED
    THEN INSERT ({columns}, loaded_at) VALUES ({silver_columns}, now())
    RETURNING merge_action() AS action
)
SELECT count(*) FILTER (WHERE action = 'INSERT'), count(*) FILTER (WHERE action = 'UPDATE')
FROM merged

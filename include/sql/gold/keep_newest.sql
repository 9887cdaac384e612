-- Of events silver holds every record; the table has one row of each id, as its key says.
DELETE FROM gold_staging
WHERE ctid IN (
    SELECT older.ctid
    FROM (
        SELECT silver.ctid, row_number() OVER (PARTITION BY silver.{key} ORDER BY ({order}) DESC) AS rank
        FROM gold_staging AS silver
    ) AS older
    WHERE older.rank > 1
)

-- Without the table's constraints: they are checked once, by the merge, which names the row that breaks one.
CREATE TEMPORARY TABLE gold_staging ON COMMIT DROP AS
SELECT {columns} FROM {table}
WITH NO DATA

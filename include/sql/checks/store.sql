INSERT INTO ops.check_result
    (asset, check_name, kind, severity, day, passed, rows, failing, value, limits, examples, snapshot_id, run)
SELECT asset, "check", kind, severity, day, passed, rows, failing, value, limits, examples, %(snapshot_id)s, %(run)s
FROM jsonb_to_recordset(%(results)s::jsonb) AS result (
    asset text, "check" text, kind text, severity text, day date, passed boolean, rows bigint, failing bigint,
    value double precision, limits jsonb, examples jsonb
)

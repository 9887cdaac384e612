SELECT attname, format_type(atttypid, atttypmod)
FROM pg_attribute
WHERE attrelid = to_regclass(%(relation)s) AND attnum > 0 AND NOT attisdropped
ORDER BY attnum

-- Primary keys, NOT NULLs and CHECKs as PostgreSQL itself writes them, so that only a difference in meaning differs.
SELECT conname, contype::text, regexp_replace(pg_get_constraintdef(oid), ' NOT VALID$', ''), convalidated
FROM pg_constraint
WHERE conrelid = to_regclass(%(relation)s) AND contype IN ('p', 'n', 'c')

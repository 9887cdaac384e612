-- What the server itself assumes; -1 stands for a table that it has never looked at.
SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass(%(table)s)

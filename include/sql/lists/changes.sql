-- Every change that any list was given, oldest first.
SELECT list, change, value, version, reason, by, until
FROM ops.list_change
ORDER BY version

-- Sessions of stream drivers that have a lock on the lease. The lock on the row itself is not listed in pg_locks, but
-- whoever took it also holds a ROW SHARE lock on the table.
SELECT pg_terminate_backend(activity.pid, 5000)
FROM pg_stat_activity AS activity
WHERE activity.application_name = %(application)s
    AND activity.datname = current_database()
    AND activity.pid <> pg_backend_pid()
    AND EXISTS (
        SELECT FROM pg_locks
        WHERE pg_locks.pid = activity.pid
            AND pg_locks.relation = 'ops.stream_lease'::regclass
            AND pg_locks.mode = 'RowShareLock'
            AND pg_locks.granted
    )

DELETE FROM ops.notice WHERE at < now() - make_interval(days => %(days)s)

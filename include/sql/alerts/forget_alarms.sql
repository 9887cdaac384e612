DELETE FROM ops.freshness_alarm WHERE cleared_at < now() - make_interval(days => %(days)s)

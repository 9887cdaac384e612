DELETE FROM ops.check_result
WHERE checked_at < now() - make_interval(days => %(days)s)
    AND result_id NOT IN (SELECT result_id FROM ops.check_newest)

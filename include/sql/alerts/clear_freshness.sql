UPDATE ops.freshness_alarm
SET cleared_at = now()
WHERE cleared_at IS NULL AND asset = ANY(%(assets)s)
RETURNING asset, raised_at AT TIME ZONE 'UTC', message

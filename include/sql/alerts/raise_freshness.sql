INSERT INTO ops.freshness_alarm (asset, message)
VALUES (%(asset)s, %(message)s)
ON CONFLICT (asset) WHERE cleared_at IS NULL DO NOTHING

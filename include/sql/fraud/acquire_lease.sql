INSERT INTO ops.stream_lease (name, epoch, holder)
VALUES (%(name)s, 1, %(holder)s)
ON CONFLICT (name) DO UPDATE
SET epoch = stream_lease.epoch + 1, holder = excluded.holder, acquired_at = now()
RETURNING epoch

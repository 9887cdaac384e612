INSERT INTO ops.notice (subject, message) VALUES (%(subject)s, %(message)s) RETURNING notice_id, at

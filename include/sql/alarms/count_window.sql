INSERT INTO ops.rejected_window AS counted (domain, records, rejected)
VALUES (%(domain)s, %(records)s, %(rejected)s)
ON CONFLICT (domain) DO UPDATE
SET records = counted.records + excluded.records, rejected = counted.rejected + excluded.rejected
RETURNING records, rejected

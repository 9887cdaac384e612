SELECT txn_id FROM ops.transaction_seen WHERE txn_id = ANY(%(txn_ids)s)

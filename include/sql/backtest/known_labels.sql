SELECT txn_id, scenario FROM label WHERE txn_id = ANY(%(txn_ids)s)

JOIN ops.transaction_seen AS seen USING (txn_id, verdict, topic_id, partition_id, record_offset)

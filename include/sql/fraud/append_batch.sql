INSERT INTO ops.stream_batch
    (checkpoint_id, batch_id, epoch, start_positions, end_positions,
     records, fraud, genuine, duplicates, quarantined, tombstones)
VALUES
    (%(checkpoint_id)s, %(batch_id)s, %(epoch)s, %(start)s, %(end)s,
     %(records)s, %(fraud)s, %(genuine)s, %(duplicates)s, %(quarantined)s, %(tombstones)s)

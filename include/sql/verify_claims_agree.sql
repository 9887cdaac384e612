-- Whether the verdicts are the claims, row for row, and each says of which record it is; then no id has two, because a
-- claim's id is its key. The sums of 64-bit hashes of all rows say so without a join. PostgreSQL's hash of a row is
-- linear in those of its columns, so that two rows could trade columns unseen: it is hashed once more, as a text, because
-- the hash of a bigint has no more than 32 bits of it.
SELECT given IS NOT DISTINCT FROM claimed AND complete
FROM (
    SELECT ROW(count(*), sum(hashtextextended(hash_record_extended(ROW(txn_id, verdict, topic, part, record), 0)::text, 0))),
        coalesce(bool_and((topic, part, record) IS NOT NULL), true)
    FROM (
        SELECT txn_id, 'fraud' AS verdict, bronze_topic_id AS topic, bronze_partition AS part, bronze_offset AS record
        FROM public.fraudtransaction
        UNION ALL
        SELECT txn_id, 'genuine', bronze_topic_id, bronze_partition, bronze_offset FROM public.genuinetransaction
    ) AS verdicts
) AS verdicts (given, complete), (
    SELECT ROW(count(*), sum(hashtextextended(
        hash_record_extended(ROW(txn_id, verdict, topic_id, partition_id, record_offset), 0)::text, 0)))
    FROM ops.transaction_seen
) AS claims (claimed)

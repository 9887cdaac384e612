-- Whether the verdicts are the claims, row for row, and each says of which record it is; then no id has two, because a
-- claim's id is its key. The sums of 64-bit hashes of all rows say so without a join. Each column's hash is seeded with
-- that of those before it, so that two rows that traded a column would be noticed. (PostgreSQL's own hash of a row is
-- linear in those of its columns.) The offset is the first seed: as such all its bits count, and a bigint's hash has no
-- more than 32 bits of it.
SELECT given IS NOT DISTINCT FROM claimed AND complete
FROM (
    SELECT ROW(count(*), sum(hashtextextended(
        txn_id, hashtextextended(topic_id, hashint4extended(partition_id, hashtextextended(verdict, record_offset)))))),
        coalesce(bool_and((topic_id, partition_id, record_offset) IS NOT NULL), true)
    FROM (
        SELECT txn_id, 'fraud' AS verdict,
            bronze_topic_id AS topic_id, bronze_partition AS partition_id, bronze_offset AS record_offset
        FROM public.fraudtransaction
        UNION ALL
        SELECT txn_id, 'genuine', bronze_topic_id, bronze_partition, bronze_offset FROM public.genuinetransaction
    ) AS verdicts
) AS verdicts (given, complete), (
    SELECT ROW(count(*), sum(hashtextextended(
        txn_id, hashtextextended(topic_id, hashint4extended(partition_id, hashtextextended(verdict, record_offset))))))
    FROM ops.transaction_seen
) AS claims (claimed)

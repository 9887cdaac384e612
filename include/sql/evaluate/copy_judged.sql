COPY (
    SELECT
        txn_id,
        user_id,
        amount,
        (extract(epoch FROM "timestamp") * 1000000)::bigint AS "timestamp",
        score,
        caught,
        to_json(reasons) AS reasons,
        scenario,
        case_id
    FROM settled
    WHERE caught IS NOT NULL
) TO STDOUT (FORMAT csv, HEADER)

WITH alert AS (
    SELECT *
    FROM unnest(
        %(txn_ids)s::text[], %(user_ids)s::text[], %(timestamps)s::timestamptz[], %(amounts)s::numeric[],
        %(case_ids)s::bigint[], %(opening_txn_ids)s::text[]
    ) WITH ORDINALITY AS alert (txn_id, user_id, moment, amount, case_id, opening_txn_id, place)
), opened AS (
    INSERT INTO public.cases
        (user_id, opened_at, last_alert_at, first_timestamp, last_timestamp, alerts, amount, opening_txn_id)
    SELECT user_id, %(moment)s, %(moment)s, min(moment), max(moment), count(*), sum(amount), opening_txn_id
    FROM alert
    WHERE case_id IS NULL
    GROUP BY user_id, opening_txn_id
    ORDER BY min(place)
    RETURNING case_id, state, opening_txn_id
), noted AS (
    INSERT INTO ops.case_event (case_id, who, what, to_state)
    SELECT case_id, %(who)s, 'opened', state FROM opened
), extended AS (
    UPDATE public.cases
    SET last_alert_at = %(moment)s,
        first_timestamp = least(cases.first_timestamp, more.first_timestamp),
        last_timestamp = greatest(cases.last_timestamp, more.last_timestamp),
        alerts = cases.alerts + more.alerts,
        amount = cases.amount + more.amount
    FROM (
        SELECT case_id, min(moment) AS first_timestamp, max(moment) AS last_timestamp, count(*) AS alerts,
            sum(amount) AS amount
        FROM alert
        WHERE case_id IS NOT NULL
        GROUP BY case_id
    ) AS more
    WHERE cases.case_id = more.case_id
)
INSERT INTO public.case_alerts (txn_id, case_id, alerted_at)
SELECT alert.txn_id, coalesce(alert.case_id, opened.case_id), %(moment)s
FROM alert
LEFT JOIN opened ON alert.case_id IS NULL AND opened.opening_txn_id = alert.opening_txn_id

-- Cases that alerts of these users may belong to, held until the transaction ends: nobody closes one meanwhile.
SELECT cases.case_id, cases.user_id, cases.first_timestamp, cases.last_timestamp
FROM public.cases
JOIN (
    SELECT user_id, min(moment) AS first_timestamp, max(moment) AS last_timestamp
    FROM unnest(%(user_ids)s::text[], %(timestamps)s::timestamptz[]) AS alert (user_id, moment)
    GROUP BY user_id
) AS alerts USING (user_id)
WHERE cases.state IN ('open', 'taken')
    AND cases.last_timestamp >= alerts.first_timestamp - %(cool_down)s::interval
    AND cases.first_timestamp <= alerts.last_timestamp + %(cool_down)s::interval
ORDER BY cases.case_id
FOR NO KEY UPDATE OF cases

SELECT case_id, state, assignee, user_id, user_name, user_country_code, user_status, alerts, amount, first_timestamp,
    last_timestamp, rules, opened_at, last_alert_at, marked_by, marked_at
FROM public.case_overview
WHERE (%(case_id)s::bigint IS NULL OR case_id = %(case_id)s)
    AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s))
    AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
ORDER BY last_alert_at DESC, case_id DESC
LIMIT %(limit)s

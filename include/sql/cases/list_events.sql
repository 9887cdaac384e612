SELECT at, who, what, from_state, to_state, note
FROM ops.case_event
WHERE case_id = %(case_id)s
ORDER BY event_id

WITH noted AS (
    INSERT INTO ops.case_event (case_id, who, what, from_state, to_state, note)
    SELECT case_id, %(who)s, %(what)s, state, %(state)s, %(note)s FROM public.cases WHERE case_id = %(case_id)s
)
UPDATE public.cases
SET state = %(state)s,
    assignee = CASE WHEN %(state)s = 'taken' THEN %(who)s ELSE assignee END,
    marked_by = CASE WHEN %(state)s <> 'taken' THEN %(who)s END,
    marked_at = CASE WHEN %(state)s <> 'taken' THEN clock_timestamp() END
WHERE case_id = %(case_id)s

-- What analysts work on: the frauds of one user that belong together are one case. Tables of rows that people change,
-- and beside them an audit trail that nobody does.

CREATE TABLE IF NOT EXISTS public.cases (
    case_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id         text NOT NULL,
    state           text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'taken', 'confirmed', 'false_alarm')),
    opened_at       timestamptz NOT NULL,
    last_alert_at   timestamptz NOT NULL,
    first_timestamp timestamptz NOT NULL,
    last_timestamp  timestamptz NOT NULL,
    alerts          integer NOT NULL CHECK (alerts > 0),
    amount          numeric NOT NULL,
    opening_txn_id  text NOT NULL,
    assignee        text,
    marked_by       text,
    marked_at       timestamptz,
    CONSTRAINT cases_span_is_one CHECK (first_timestamp <= last_timestamp),
    CONSTRAINT cases_taken_by_somebody CHECK (state <> 'taken' OR assignee IS NOT NULL),
    CONSTRAINT cases_marked_by_somebody CHECK (
        (state IN ('confirmed', 'false_alarm')) = (marked_by IS NOT NULL)
        AND (marked_by IS NULL) = (marked_at IS NULL)
    )
);
COMMENT ON TABLE public.cases IS 'Alerts of one user, each within the cool-down of others of them. What an analyst works on.';
COMMENT ON COLUMN public.cases.case_id IS 'Number of the case.';
COMMENT ON COLUMN public.cases.user_id IS 'The user whose card was used.';
COMMENT ON COLUMN public.cases.state IS
    'open, taken (somebody works on it), confirmed (it was fraud) or false_alarm. The last two close it.';
COMMENT ON COLUMN public.cases.opened_at IS 'When its first alert was scored.';
COMMENT ON COLUMN public.cases.last_alert_at IS 'When its newest alert was scored.';
COMMENT ON COLUMN public.cases.first_timestamp IS 'The earliest timestamp of its transactions.';
COMMENT ON COLUMN public.cases.last_timestamp IS 'The latest timestamp of its transactions.';
COMMENT ON COLUMN public.cases.alerts IS 'How many transactions it has; public.case_alerts says which.';
COMMENT ON COLUMN public.cases.amount IS 'Personal data. Their amounts added up, in the bank''s book currency.';
COMMENT ON COLUMN public.cases.opening_txn_id IS 'The transaction with which it was opened.';
COMMENT ON COLUMN public.cases.assignee IS 'Personal data. Who took the case last; NULL where nobody has.';
COMMENT ON COLUMN public.cases.marked_by IS 'Personal data. Who said what it was; NULL while nobody has.';
COMMENT ON COLUMN public.cases.marked_at IS 'When that was said.';

CREATE TABLE IF NOT EXISTS public.case_alerts (
    txn_id     text PRIMARY KEY,
    case_id    bigint NOT NULL REFERENCES public.cases,
    alerted_at timestamptz NOT NULL
);
COMMENT ON TABLE public.case_alerts IS
    'Which case each row of FraudTransaction belongs to, and which a transaction without an alert that somebody reported.';
COMMENT ON COLUMN public.case_alerts.txn_id IS 'The transaction, see FraudTransaction; of one that was reported, GenuineTransaction.';
COMMENT ON COLUMN public.case_alerts.case_id IS 'Its case, for good.';
COMMENT ON COLUMN public.case_alerts.alerted_at IS 'When it was scored, or reported.';

CREATE TABLE IF NOT EXISTS ops.case_event (
    event_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id    bigint NOT NULL REFERENCES public.cases,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    who        text NOT NULL CHECK (who <> ''),
    what       text NOT NULL CHECK (what IN ('opened', 'taken', 'marked', 'noted')),
    from_state text,
    to_state   text NOT NULL,
    note       text
);
COMMENT ON TABLE ops.case_event IS 'The audit trail of public.cases, append only: whoever did something with a case, and when.';
COMMENT ON COLUMN ops.case_event.who IS 'Personal data. The person; paylake where the fraud stream opened the case.';
COMMENT ON COLUMN ops.case_event.from_state IS 'The case''s state before; NULL when it was opened.';
COMMENT ON COLUMN ops.case_event.note IS 'In the person''s own words. May hold personal data.';
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ops.case_event
    FOR EACH STATEMENT EXECUTE FUNCTION ops.refuse_change();
ALTER TABLE ops.case_event ENABLE ALWAYS TRIGGER append_only;

CREATE TABLE IF NOT EXISTS ops.mark (
    mark_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    txn_id      text NOT NULL,
    mark        text NOT NULL CHECK (mark IN ('confirmed', 'false_alarm')),
    known_at    timestamptz NOT NULL,
    user_id     text NOT NULL,
    merchant_id text NOT NULL,
    case_id     bigint NOT NULL REFERENCES public.cases
);
COMMENT ON TABLE ops.mark IS
    'What analysts said of each transaction, append only, with the moment from which scoring knew it: what features over marks count. The newest mark of a transaction counts.';
COMMENT ON COLUMN ops.mark.mark IS 'confirmed (it was fraud) or false_alarm (it was genuine). Says of a user that he is suspected: personal data.';
COMMENT ON COLUMN ops.mark.known_at IS 'A moment of its own among those of scoring, see ops.scoring: a verdict knows the mark if its scored_at is later.';
COMMENT ON COLUMN ops.mark.user_id IS 'The transaction''s user.';
COMMENT ON COLUMN ops.mark.merchant_id IS 'The transaction''s merchant.';
COMMENT ON COLUMN ops.mark.case_id IS 'The case whose mark it is; ops.case_event says who gave it.';
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ops.mark
    FOR EACH STATEMENT EXECUTE FUNCTION ops.refuse_change();
ALTER TABLE ops.mark ENABLE ALWAYS TRIGGER append_only;

-- Marks of before there was this table.
DO $$
BEGIN
    IF to_regclass('public.fraudtransaction') IS NOT NULL AND NOT EXISTS (SELECT FROM ops.mark) THEN
        INSERT INTO ops.mark (txn_id, mark, known_at, user_id, merchant_id, case_id)
        SELECT txn_id, event.to_state, event.at, fraud.user_id, fraud.merchant_id, event.case_id
        FROM ops.case_event AS event
        JOIN public.case_alerts USING (case_id)
        JOIN public.fraudtransaction AS fraud USING (txn_id)
        WHERE event.what = 'marked'
        ORDER BY event.event_id;
    END IF;
END
$$;

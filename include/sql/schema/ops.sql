-- Paylake's own books: what was loaded, what was refused, what the fraud stream has done.
-- Kafka coordinates are called topic_id, partition_id, record_offset everywhere; a topic's id, unlike its name,
-- never comes back after a reset, so the three together name one record for ever.

CREATE SCHEMA IF NOT EXISTS ops;
COMMENT ON SCHEMA ops IS 'Paylake''s own books: watermarks, quarantine, the fraud stream''s ledger.';

CREATE TABLE IF NOT EXISTS ops.schema_state (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    fingerprint text NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE ops.schema_state IS 'Fingerprint of the definitions last applied, so that applying them again is cheap.';

CREATE TABLE IF NOT EXISTS ops.gold_watermark (
    domain             text PRIMARY KEY,
    silver_table_uuid  text,
    silver_version     bigint NOT NULL DEFAULT 0,
    silver_snapshot_id bigint,
    rows               bigint NOT NULL DEFAULT 0,
    loaded_at          timestamptz
);
COMMENT ON TABLE ops.gold_watermark IS
    'Up to which version of silver each gold table is loaded. Its row is the lock that loads of a domain queue for.';
COMMENT ON COLUMN ops.gold_watermark.silver_table_uuid IS
    'The Iceberg table''s id; another one means that silver was made anew and its versions cannot be compared.';
COMMENT ON COLUMN ops.gold_watermark.rows IS 'Rows in the silver snapshot that was loaded.';

CREATE TABLE IF NOT EXISTS ops.daily_fraud_day (
    day               date PRIMARY KEY,
    silver_table_uuid text NOT NULL,
    silver_version    bigint NOT NULL,
    rebuilt_at        timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE ops.daily_fraud_day IS
    'For which version of a day in silver that day of public.daily_fraud was made: older than silver''s, it has to be made anew.';
COMMENT ON COLUMN ops.daily_fraud_day.silver_table_uuid IS
    'The Iceberg table''s id; another one means that silver was made anew and its versions cannot be compared.';

CREATE TABLE IF NOT EXISTS ops.quarantine (
    domain             text NOT NULL,
    topic              text NOT NULL,
    topic_id           text NOT NULL,
    partition_id       integer NOT NULL,
    record_offset      bigint NOT NULL,
    kafka_timestamp_ms bigint NOT NULL,
    raw                bytea,
    reasons            jsonb NOT NULL,
    contract_version   text NOT NULL,
    quarantined_at     timestamptz NOT NULL DEFAULT now(),
    redriven_at        timestamptz,
    PRIMARY KEY (topic_id, partition_id, record_offset),
    CONSTRAINT quarantine_reasons_given
        CHECK (CASE jsonb_typeof(reasons) WHEN 'array' THEN jsonb_array_length(reasons) > 0 ELSE false END)
);
COMMENT ON TABLE ops.quarantine IS 'Records that broke their contract, with every reason and their original bytes.';
COMMENT ON COLUMN ops.quarantine.kafka_timestamp_ms IS
    'Kafka''s timestamp as it came, milliseconds since 1970 (-1: none). A number, because a producer may send one that no date can hold.';
COMMENT ON COLUMN ops.quarantine.raw IS 'The record''s value as it came; NULL where Kafka''s value was null. May hold personal data.';
COMMENT ON COLUMN ops.quarantine.reasons IS 'Array of {"field", "code", "message"}; never empty. May quote personal data.';
COMMENT ON COLUMN ops.quarantine.redriven_at IS 'When the record was driven through again and accepted; NULL while it waits.';
-- Columns that came later.
ALTER TABLE ops.quarantine ADD COLUMN IF NOT EXISTS redrive_requested_at timestamptz;
COMMENT ON COLUMN ops.quarantine.redrive_requested_at IS
    'When somebody asked that the next silver run take the record in; NULL again when that run refuses it, too.';
ALTER TABLE ops.quarantine ADD COLUMN IF NOT EXISTS taken_ms bigint;
COMMENT ON COLUMN ops.quarantine.taken_ms IS
    'When the record came, by a clock of ours, milliseconds since 1970; NULL in rows of before it was noted.';
ALTER TABLE ops.quarantine ADD COLUMN IF NOT EXISTS redriven_by_run text;
COMMENT ON COLUMN ops.quarantine.redriven_by_run IS
    'The silver run that takes the record in. While redriven_at is NULL (of a transaction: settled_in_silver_at), silver''s newest snapshot decides: the record is in silver if the snapshot is of this run.';
ALTER TABLE ops.quarantine ADD COLUMN IF NOT EXISTS settled_in_silver_at timestamptz;
COMMENT ON COLUMN ops.quarantine.settled_in_silver_at IS
    'Of a transaction, which has its verdict since redriven_at: when silver, which had passed it, took it in as well, or found that it breaks the contract of that day.';

CREATE TABLE IF NOT EXISTS ops.rejected_window (
    domain   text PRIMARY KEY,
    since    timestamptz NOT NULL DEFAULT now(),
    records  bigint NOT NULL,
    rejected bigint NOT NULL
);
COMMENT ON TABLE ops.rejected_window IS
    'New records of a reference domain, and those of them that were rejected, since their share was last compared with the limit.';

CREATE TABLE IF NOT EXISTS ops.rejected_alarm (
    domain      text NOT NULL,
    raised_at   timestamptz NOT NULL DEFAULT now(),
    since       timestamptz NOT NULL,
    records     bigint NOT NULL,
    rejected    bigint NOT NULL,
    limit_share double precision NOT NULL,
    reasons     jsonb NOT NULL,
    accepted_at timestamptz,
    PRIMARY KEY (domain, raised_at)
);
COMMENT ON TABLE ops.rejected_alarm IS
    'More records were rejected than the limit allows. Silver''s runs are failed until somebody accepts it; a domain has one such alarm at most.';
COMMENT ON COLUMN ops.rejected_alarm.since IS 'When the first of the records were looked at.';
COMMENT ON COLUMN ops.rejected_alarm.rejected IS 'Of this many records; grows while nobody has accepted it.';
COMMENT ON COLUMN ops.rejected_alarm.limit_share IS 'The share, 0 to 1, that was allowed.';
COMMENT ON COLUMN ops.rejected_alarm.reasons IS 'Rejected records by field and code; one with several reasons counts for each.';
COMMENT ON COLUMN ops.rejected_alarm.accepted_at IS 'When somebody said that this is all right; NULL while the alarm is open.';

CREATE TABLE IF NOT EXISTS ops.stream_lease (
    name        text PRIMARY KEY,
    epoch       bigint NOT NULL,
    holder      text NOT NULL,
    acquired_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE ops.stream_lease IS 'Who may write for a stream: only the driver that holds the newest epoch.';

CREATE TABLE IF NOT EXISTS ops.stream_batch (
    checkpoint_id   text NOT NULL,
    batch_id        bigint NOT NULL,
    epoch           bigint NOT NULL,
    start_positions jsonb NOT NULL,
    end_positions   jsonb NOT NULL,
    records         bigint NOT NULL DEFAULT 0,
    fraud           bigint NOT NULL DEFAULT 0,
    genuine         bigint NOT NULL DEFAULT 0,
    duplicates      bigint NOT NULL DEFAULT 0,
    quarantined     bigint NOT NULL DEFAULT 0,
    tombstones      bigint NOT NULL DEFAULT 0,
    committed_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (checkpoint_id, batch_id),
    -- A batch that loses or doubles a record cannot be committed. Set the six counts in one statement.
    CONSTRAINT stream_batch_books_balance
        CHECK (records = fraud + genuine + duplicates + quarantined + tombstones)
);
COMMENT ON TABLE ops.stream_batch IS
    'The fraud stream''s ledger: one row per micro-batch, committed with the batch''s rows, so that a replay adds nothing.';
COMMENT ON COLUMN ops.stream_batch.start_positions IS 'Topic id -> partition -> first offset of the batch.';
COMMENT ON COLUMN ops.stream_batch.end_positions IS 'Topic id -> partition -> offset after the last of the batch.';

CREATE TABLE IF NOT EXISTS ops.transaction_seen (
    txn_id        text PRIMARY KEY,
    verdict       text NOT NULL CHECK (verdict IN ('fraud', 'genuine')),
    body_hash     bytea NOT NULL,
    topic_id      text NOT NULL,
    partition_id  integer NOT NULL,
    record_offset bigint NOT NULL
);
COMMENT ON TABLE ops.transaction_seen IS
    'The one place where a txn_id is claimed: no transaction can get two verdicts, whoever writes.';

CREATE TABLE IF NOT EXISTS ops.transaction_duplicate (
    topic_id      text NOT NULL,
    partition_id  integer NOT NULL,
    record_offset bigint NOT NULL,
    txn_id        text NOT NULL,
    same_body     boolean NOT NULL,
    raw           bytea,
    seen_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic_id, partition_id, record_offset)
);
COMMENT ON TABLE ops.transaction_duplicate IS 'Transactions whose txn_id had been claimed by an earlier record.';
COMMENT ON COLUMN ops.transaction_duplicate.same_body IS
    'false is a conflict: the same txn_id came with another body. The first record keeps its verdict.';
COMMENT ON COLUMN ops.transaction_duplicate.raw IS 'The later record''s value as it came. Holds personal data.';

CREATE TABLE IF NOT EXISTS ops.scoring (
    only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    moment         timestamptz NOT NULL DEFAULT 'epoch',
    transaction_id text NOT NULL DEFAULT '',
    lists_version  bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE ops.scoring IS
    'Scoring is serial: whoever scores transactions, changes a list, or promotes rules, holds this row until its transaction ends.';
COMMENT ON COLUMN ops.scoring.moment IS 'The last moment of scoring, which only grows: the scored_at of the verdicts given then.';
COMMENT ON COLUMN ops.scoring.transaction_id IS
    'The database transaction that scored last: whoever remembers what it scored knows by it that nobody else did since.';
COMMENT ON COLUMN ops.scoring.lists_version IS 'How often lists have changed: the version of the newest row of ops.list_change.';
-- A column that came later.
ALTER TABLE ops.scoring ADD COLUMN IF NOT EXISTS rules_promotion bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN ops.scoring.rules_promotion IS
    'The rules in use: the number of the newest row of ops.rules_promotion. 0: none was put in yet, the rules file counts.';
INSERT INTO ops.scoring DEFAULT VALUES ON CONFLICT (only_row) DO NOTHING;

CREATE OR REPLACE FUNCTION ops.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% is append only: % is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$$;
COMMENT ON FUNCTION ops.refuse_change IS 'For triggers of tables whose rows are evidence: nobody edits them, their owner neither.';

CREATE TABLE IF NOT EXISTS ops.list_change (
    version    bigint PRIMARY KEY,
    list       text NOT NULL,
    value      text NOT NULL,
    change     text NOT NULL CHECK (change IN ('add', 'remove')),
    kind       text NOT NULL CHECK (kind IN ('entry', 'snooze')),
    reason     text NOT NULL CHECK (reason <> ''),
    by         text NOT NULL CHECK (by <> ''),
    until      timestamptz,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT list_change_until_is_ahead CHECK (until > changed_at AND isfinite(until)),
    CONSTRAINT list_change_only_what_is_added_ends CHECK (until IS NULL OR change = 'add'),
    CONSTRAINT list_change_snooze_ends CHECK (kind <> 'snooze' OR change = 'remove' OR until IS NOT NULL)
);
COMMENT ON TABLE ops.list_change IS
    'Every change of the lists that fraud rules ask, append only. At a version and a moment, the newest change of a value that has not ended decides whether it is on the list, and where there is none, the rules file.';
COMMENT ON COLUMN ops.list_change.version IS 'The version of all lists from this change on, see ops.scoring; verdicts name the one they used.';
COMMENT ON COLUMN ops.list_change.list IS 'A list of the rules file, or snooze:<rule>:<user or merchant>: for whom the rule is asleep.';
COMMENT ON COLUMN ops.list_change.value IS 'An id, or a city. Says of a user that he is suspected, so it may be personal data.';
COMMENT ON COLUMN ops.list_change.reason IS 'Why, in somebody''s own words. May hold personal data.';
COMMENT ON COLUMN ops.list_change.by IS 'Who made the change. Personal data.';
COMMENT ON COLUMN ops.list_change.until IS 'From this moment on the change counts no more, and what was said before it does; NULL: it stays.';
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ops.list_change
    FOR EACH STATEMENT EXECUTE FUNCTION ops.refuse_change();
ALTER TABLE ops.list_change ENABLE ALWAYS TRIGGER append_only;

CREATE TABLE IF NOT EXISTS ops.rules_promotion (
    number      bigint PRIMARY KEY,
    version     text NOT NULL CHECK (version <> ''),
    content     text NOT NULL CHECK (content <> ''),
    promoted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    promoted_by text NOT NULL CHECK (promoted_by <> ''),
    approved_in text CHECK (approved_in <> ''),
    approved_at timestamptz,
    note        text CHECK (note <> ''),
    CONSTRAINT rules_promotion_approval_is_whole CHECK ((approved_in IS NULL) = (approved_at IS NULL))
);
COMMENT ON TABLE ops.rules_promotion IS
    'Every promotion of fraud rules, append only: the newest are in use, see ops.scoring. A version that is promoted again has the same content.';
COMMENT ON COLUMN ops.rules_promotion.version IS 'As the file says it, and as verdicts name it.';
COMMENT ON COLUMN ops.rules_promotion.content IS 'The whole file.';
COMMENT ON COLUMN ops.rules_promotion.promoted_by IS
    'Who approved it in Airflow, personal data; paylake where the fraud stream put in the file with which it started.';
COMMENT ON COLUMN ops.rules_promotion.approved_in IS 'The run of the DAG rules_promotion; NULL where nobody was asked.';
COMMENT ON COLUMN ops.rules_promotion.approved_at IS 'When it was approved there.';
COMMENT ON COLUMN ops.rules_promotion.note IS 'In the words of who asked for it. May hold personal data.';
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ops.rules_promotion
    FOR EACH STATEMENT EXECUTE FUNCTION ops.refuse_change();
ALTER TABLE ops.rules_promotion ENABLE ALWAYS TRIGGER append_only;

CREATE TABLE IF NOT EXISTS ops.merchant_as_scored (
    merchant_id  text NOT NULL,
    since        timestamptz NOT NULL,
    risk_level   text,
    category     text,
    country_code text,
    PRIMARY KEY (merchant_id, since)
);
COMMENT ON TABLE ops.merchant_as_scored IS
    'What the rules knew of a merchant, from a moment of scoring on: appended where MERCHANTS says something else than the last time. All NULL: nothing.';

CREATE TABLE IF NOT EXISTS ops.rule_hit (
    txn_id        text NOT NULL,
    rule          text NOT NULL,
    mode          text NOT NULL CHECK (mode IN ('alert', 'shadow', 'snoozed')),
    rules_version text NOT NULL,
    evidence      jsonb NOT NULL,
    scored_at     timestamptz NOT NULL,
    PRIMARY KEY (txn_id, rule)
);
COMMENT ON TABLE ops.rule_hit IS
    'Rules that fired on a transaction without making it fraud: they only watch (shadow), are asleep for its user or merchant (snoozed), or their weights were too little (alert).';
COMMENT ON COLUMN ops.rule_hit.evidence IS '{"rule", "message", "values"}, as in FraudTransaction. May quote personal data.';

CREATE TABLE IF NOT EXISTS ops.freshness_alarm (
    asset      text NOT NULL,
    raised_at  timestamptz NOT NULL DEFAULT now(),
    message    text NOT NULL,
    cleared_at timestamptz,
    PRIMARY KEY (asset, raised_at)
);
COMMENT ON TABLE ops.freshness_alarm IS 'Assets that passed their freshness limit; of each, one alarm at most is open.';
COMMENT ON COLUMN ops.freshness_alarm.message IS 'What was wrong when it was raised.';
COMMENT ON COLUMN ops.freshness_alarm.cleared_at IS 'When the asset was found fresh again; NULL while it is not.';

CREATE TABLE IF NOT EXISTS ops.notice (
    notice_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        timestamptz NOT NULL DEFAULT now(),
    subject   text NOT NULL,
    message   text NOT NULL,
    sent_to   text[] NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE ops.notice IS 'What people are told by webhook or e-mail.';
COMMENT ON COLUMN ops.notice.sent_to IS 'The channels that have taken it.';

CREATE TABLE IF NOT EXISTS ops.check_result (
    result_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    asset       text NOT NULL,
    check_name  text NOT NULL,
    kind        text NOT NULL,
    severity    text NOT NULL CHECK (severity IN ('block', 'warn')),
    day         date,
    passed      boolean NOT NULL,
    rows        bigint,
    failing     bigint,
    value       double precision,
    limits      jsonb NOT NULL,
    examples    jsonb NOT NULL,
    snapshot_id bigint,
    run         text NOT NULL,
    checked_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE ops.check_result IS 'What each check of an asset found, each time it looked; rows are added, and old ones deleted.';
COMMENT ON COLUMN ops.check_result.severity IS 'block: nothing was published when it failed. warn: it was told.';
COMMENT ON COLUMN ops.check_result.day IS 'The partition that the rows are of; NULL: all of them, or of a run that touched many days, those of the older ones.';
COMMENT ON COLUMN ops.check_result.rows IS 'Rows that were looked at: those that the run was about to publish.';
COMMENT ON COLUMN ops.check_result.failing IS 'Of this many rows; NULL where the check is not about single rows.';
COMMENT ON COLUMN ops.check_result.value IS 'What the limits are of: the share of failing rows, 0 to 1, or rows for each one that there was.';
COMMENT ON COLUMN ops.check_result.examples IS 'Five failing rows at most: key, coordinates, and the value unless it is personal data.';
COMMENT ON COLUMN ops.check_result.snapshot_id IS 'Of silver''s snapshot that was looked at, published or not.';
COMMENT ON COLUMN ops.check_result.run IS 'Results of one look have the same; of silver it names the branch, too.';

-- One index per way a table is read, and no more: each one is paid for with every write.

-- Verdicts of a period. FraudTransaction is small; in GenuineTransaction rows lie almost in order of time, so a BRIN
-- index does with a thousandth of the space and next to no work on the stream's path.
CREATE INDEX IF NOT EXISTS fraudtransaction_timestamp_idx ON public.fraudtransaction ("timestamp");
CREATE INDEX IF NOT EXISTS genuinetransaction_timestamp_idx
    ON public.genuinetransaction USING brin ("timestamp") WITH (autosummarize = on);

-- All transactions of one user, and of one merchant, from a moment on: what an analyst opens a case with, and what
-- whoever scores has to remember of them.
CREATE INDEX IF NOT EXISTS fraudtransaction_user_idx ON public.fraudtransaction (user_id, "timestamp");
CREATE INDEX IF NOT EXISTS genuinetransaction_user_idx ON public.genuinetransaction (user_id, "timestamp");
CREATE INDEX IF NOT EXISTS fraudtransaction_merchant_idx ON public.fraudtransaction (merchant_id, "timestamp");
CREATE INDEX IF NOT EXISTS genuinetransaction_merchant_idx ON public.genuinetransaction (merchant_id, "timestamp");
DROP INDEX IF EXISTS public.fraudtransaction_user_id_idx, public.genuinetransaction_user_id_idx,
    public.fraudtransaction_merchant_id_idx, public.genuinetransaction_merchant_id_idx;

-- `WHERE reasons @> '{huge_amount}'`: frauds by rule.
CREATE INDEX IF NOT EXISTS fraudtransaction_reasons_idx ON public.fraudtransaction USING gin (reasons);

-- The last fraud events, as `./paylake status` shows them.
CREATE INDEX IF NOT EXISTS fraudtransaction_scored_at_idx ON public.fraudtransaction (scored_at);

-- Users and merchants of one country.
CREATE INDEX IF NOT EXISTS users_country_code_idx ON public.users (country_code);
CREATE INDEX IF NOT EXISTS merchants_country_code_idx ON public.merchants (country_code);

-- The accounts of one user.
CREATE INDEX IF NOT EXISTS accounts_user_id_idx ON public.accounts (user_id);

-- Quarantine is listed by domain and time.
CREATE INDEX IF NOT EXISTS quarantine_domain_idx ON ops.quarantine (domain, quarantined_at);

-- Records that a silver run has to do something about: nearly always none.
CREATE INDEX IF NOT EXISTS quarantine_in_hand_idx ON ops.quarantine (domain)
    WHERE redriven_at IS NULL AND (redrive_requested_at IS NOT NULL OR redriven_by_run IS NOT NULL);
CREATE INDEX IF NOT EXISTS quarantine_judged_idx ON ops.quarantine (domain)
    WHERE redriven_at IS NOT NULL AND settled_in_silver_at IS NULL;

-- The alarms that nobody has accepted, of which a domain has one at most.
CREATE UNIQUE INDEX IF NOT EXISTS rejected_alarm_open_idx ON ops.rejected_alarm (domain) WHERE accepted_at IS NULL;

-- The verdict of a record, by where the record is. Only few records share an offset, so the rest of the coordinates
-- need not be in the index, which is a fifth of the size without them.
CREATE INDEX IF NOT EXISTS transaction_seen_record_offset_idx ON ops.transaction_seen (record_offset);

-- What came again under one txn_id.
CREATE INDEX IF NOT EXISTS transaction_duplicate_txn_id_idx ON ops.transaction_duplicate (txn_id);

-- The cases of a user, as each alert asks for them; those that somebody has to look at, newest first; what is in one.
CREATE INDEX IF NOT EXISTS cases_user_id_idx ON public.cases (user_id);
CREATE INDEX IF NOT EXISTS cases_live_idx ON public.cases (last_alert_at) WHERE state IN ('open', 'taken');
CREATE INDEX IF NOT EXISTS case_alerts_case_id_idx ON public.case_alerts (case_id);
CREATE INDEX IF NOT EXISTS case_event_case_id_idx ON ops.case_event (case_id);

-- What was said of the transactions of a user, or at a merchant, and when.
CREATE INDEX IF NOT EXISTS mark_user_id_idx ON ops.mark (user_id, known_at);
CREATE INDEX IF NOT EXISTS mark_merchant_id_idx ON ops.mark (merchant_id, known_at);

-- The newest change of each value of a list.
CREATE INDEX IF NOT EXISTS list_change_list_idx ON ops.list_change (list, value, version);

-- What rules said of a transaction without making it fraud.
CREATE INDEX IF NOT EXISTS rule_hit_rule_idx ON ops.rule_hit (rule, scored_at);

-- An asset has one open alarm at most.
CREATE UNIQUE INDEX IF NOT EXISTS freshness_alarm_open_idx ON ops.freshness_alarm (asset) WHERE cleared_at IS NULL;

-- What a check found, newest first, and what was found of an asset.
CREATE INDEX IF NOT EXISTS check_result_check_idx ON ops.check_result (asset, check_name, checked_at);
CREATE INDEX IF NOT EXISTS check_result_checked_at_idx ON ops.check_result (asset, checked_at);

-- What analysts read. Dropped and made anew when a definition changes, because CREATE OR REPLACE cannot insert a
-- column. Without CASCADE: a view of somebody else's on top of these is an error to see, not a thing to drop.
-- The placeholder stands for the columns that the transactions' contract states.
-- Shares are numeric, rounded to six places. Joins are LEFT JOINs: streams are independent, and a transaction whose
-- user or merchant is not (yet) known must not vanish from a report.

DROP VIEW IF EXISTS
    public.fraud_share_by_day, public.fraud_share_by_country, public.fraud_share_by_merchant,
    public.fraud_share_by_rule, public.balances_by_currency, public.orphans, public.quarantine_summary,
    public.transaction_conflicts, public.shadow_comparison, public.case_overview, public.transaction_marks,
    public.daily_fraud_overview, ops.check_newest;
DROP VIEW IF EXISTS public.transactions;

CREATE VIEW public.transactions AS
SELECT
    verdict.*,
    users.name AS user_name,
    users.country_code AS user_country_code,
    users.country AS user_country,
    merchants.merchant_name,
    merchants.category AS merchant_category,
    merchants.risk_level AS merchant_risk_level
FROM (
    SELECT {contract_columns}, true AS is_fraud, reasons, evidence, rules_version, scored_at,
        bronze_topic_id, bronze_partition, bronze_offset
    FROM public.fraudtransaction
    UNION ALL
    SELECT {contract_columns}, false, ARRAY[]::text[], '[]'::jsonb, rules_version, scored_at,
        bronze_topic_id, bronze_partition, bronze_offset
    FROM public.genuinetransaction
) AS verdict
LEFT JOIN public.users USING (user_id)
LEFT JOIN public.merchants USING (merchant_id);
COMMENT ON VIEW public.transactions IS
    'Every transaction with a verdict, with its user and merchant where they are known. Holds personal data.';
COMMENT ON COLUMN public.transactions.is_fraud IS 'true: in FraudTransaction, false: in GenuineTransaction.';
COMMENT ON COLUMN public.transactions.reasons IS 'Names of the rules that fired; empty, not NULL, where none did.';
COMMENT ON COLUMN public.transactions.user_name IS 'Personal data. NULL where the user is not known.';
COMMENT ON COLUMN public.transactions.user_country IS 'The user''s country of residence, as it is now.';
COMMENT ON COLUMN public.transactions.merchant_risk_level IS
    'The merchant''s rating as it is now; the verdict was given with the one of its time.';

CREATE VIEW public.fraud_share_by_day AS
SELECT
    date AS day,
    count(*) AS transactions,
    count(*) FILTER (WHERE is_fraud) AS frauds,
    round(count(*) FILTER (WHERE is_fraud) / count(*)::numeric, 6) AS fraud_share,
    sum(amount) AS amount,
    coalesce(sum(amount) FILTER (WHERE is_fraud), 0) AS fraud_amount
FROM public.transactions
GROUP BY date;
COMMENT ON VIEW public.fraud_share_by_day IS 'Transactions and frauds by day of the transaction, UTC.';

CREATE VIEW public.fraud_share_by_country AS
SELECT
    user_country_code AS country_code,
    user_country AS country,
    count(*) AS transactions,
    count(*) FILTER (WHERE is_fraud) AS frauds,
    round(count(*) FILTER (WHERE is_fraud) / count(*)::numeric, 6) AS fraud_share,
    sum(amount) AS amount,
    coalesce(sum(amount) FILTER (WHERE is_fraud), 0) AS fraud_amount
FROM public.transactions
GROUP BY user_country_code, user_country;
COMMENT ON VIEW public.fraud_share_by_country IS
    'Transactions and frauds by the user''s country of residence. The row with NULL holds those of unknown users.';

CREATE VIEW public.fraud_share_by_merchant AS
SELECT
    merchant_id,
    merchant_name,
    merchant_category AS category,
    merchant_risk_level AS risk_level,
    count(*) AS transactions,
    count(*) FILTER (WHERE is_fraud) AS frauds,
    round(count(*) FILTER (WHERE is_fraud) / count(*)::numeric, 6) AS fraud_share,
    sum(amount) AS amount,
    coalesce(sum(amount) FILTER (WHERE is_fraud), 0) AS fraud_amount
FROM public.transactions
GROUP BY merchant_id, merchant_name, merchant_category, merchant_risk_level;
COMMENT ON VIEW public.fraud_share_by_merchant IS
    'Transactions and frauds by merchant. Name, category and risk level are NULL for a merchant that is not known.';

CREATE VIEW public.fraud_share_by_rule AS
SELECT
    fired.rule,
    fired.frauds,
    round(fired.frauds / total.frauds::numeric, 6) AS share_of_frauds,
    round(fired.frauds / total.transactions::numeric, 6) AS share_of_transactions,
    fired.frauds_by_this_rule_alone,
    fired.fraud_amount
FROM (
    SELECT
        rule,
        count(*) AS frauds,
        count(*) FILTER (WHERE cardinality(reasons) = 1) AS frauds_by_this_rule_alone,
        sum(amount) AS fraud_amount
    FROM public.fraudtransaction CROSS JOIN LATERAL unnest(reasons) AS rule
    GROUP BY rule
) AS fired
CROSS JOIN (
    SELECT count(*) FILTER (WHERE is_fraud) AS frauds, count(*) AS transactions FROM public.transactions
) AS total;
COMMENT ON VIEW public.fraud_share_by_rule IS
    'Frauds by rule. Several rules can fire on one transaction, so the shares can add up to more than 1.';

CREATE VIEW public.balances_by_currency AS
SELECT
    currency,
    count(*) AS accounts,
    sum(current_balance) AS total_balance,
    min(current_balance) AS lowest_balance,
    max(current_balance) AS highest_balance,
    count(*) FILTER (WHERE current_balance < 0) AS overdrawn_accounts,
    coalesce(sum(current_balance) FILTER (WHERE current_balance < 0), 0) AS overdrawn_balance
FROM public.accounts
GROUP BY currency;
COMMENT ON VIEW public.balances_by_currency IS 'Balances in units of each currency; currencies are never added up.';

CREATE VIEW public.orphans AS
SELECT 'account without user' AS kind, account_id AS id, user_id AS missing_id
FROM public.accounts
WHERE NOT EXISTS (SELECT FROM public.users WHERE users.user_id = accounts.user_id)
UNION ALL
SELECT 'transaction without user', txn_id, user_id
FROM public.transactions AS verdict
WHERE NOT EXISTS (SELECT FROM public.users WHERE users.user_id = verdict.user_id)
UNION ALL
SELECT 'transaction without merchant', txn_id, merchant_id
FROM public.transactions AS verdict
WHERE NOT EXISTS (SELECT FROM public.merchants WHERE merchants.merchant_id = verdict.merchant_id);
COMMENT ON VIEW public.orphans IS
    'Rows whose user or merchant is not known. Not an error in itself: the streams are independent, so the other record may still come.';

CREATE VIEW public.quarantine_summary AS
SELECT
    domain,
    reason ->> 'code' AS code,
    reason ->> 'field' AS field,
    count(DISTINCT (topic_id, partition_id, record_offset)) AS records,
    count(DISTINCT (topic_id, partition_id, record_offset)) FILTER (WHERE redriven_at IS NULL) AS waiting,
    min(quarantined_at) AS first_quarantined_at,
    max(quarantined_at) AS last_quarantined_at
FROM ops.quarantine
CROSS JOIN LATERAL jsonb_array_elements(reasons) AS reason
GROUP BY domain, code, field;
COMMENT ON VIEW public.quarantine_summary IS
    'Refused records by reason. A record with several reasons is in several rows; waiting ones were not driven through again yet.';

CREATE VIEW public.transaction_conflicts AS
SELECT
    txn_id,
    seen.verdict,
    seen.topic_id AS bronze_topic_id,
    seen.partition_id AS bronze_partition,
    seen.record_offset AS bronze_offset,
    later.topic_id AS later_topic_id,
    later.partition_id AS later_partition,
    later.record_offset AS later_offset,
    later.seen_at AS later_seen_at
FROM ops.transaction_duplicate AS later
JOIN ops.transaction_seen AS seen USING (txn_id)
WHERE NOT later.same_body;
COMMENT ON VIEW public.transaction_conflicts IS
    'Transactions that came again with another body: one row for each later record. The first record keeps its verdict.';
COMMENT ON COLUMN public.transaction_conflicts.verdict IS 'Of the record that has the id: fraud or genuine.';
COMMENT ON COLUMN public.transaction_conflicts.bronze_offset IS 'Where in bronze the record is that has the id.';
COMMENT ON COLUMN public.transaction_conflicts.later_offset IS 'Where in bronze the record is that says otherwise.';
COMMENT ON COLUMN public.transaction_conflicts.later_seen_at IS 'When the fraud stream met it, UTC.';

CREATE VIEW public.case_overview AS
SELECT
    cases.case_id,
    cases.state,
    cases.assignee,
    cases.user_id,
    users.name AS user_name,
    users.country_code AS user_country_code,
    users.status AS user_status,
    cases.alerts,
    cases.amount,
    cases.first_timestamp,
    cases.last_timestamp,
    fired.rules,
    cases.opened_at,
    cases.last_alert_at,
    cases.marked_by,
    cases.marked_at
FROM public.cases
LEFT JOIN public.users USING (user_id)
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(DISTINCT rule ORDER BY rule), ARRAY[]::text[]) AS rules
    FROM public.case_alerts
    JOIN public.fraudtransaction USING (txn_id)
    CROSS JOIN LATERAL unnest(reasons) AS rule
    WHERE case_alerts.case_id = cases.case_id
) AS fired;
COMMENT ON VIEW public.case_overview IS
    'Every case with its user, where he is known, and the rules of its alerts. Holds personal data.';
COMMENT ON COLUMN public.case_overview.user_name IS 'Personal data. NULL where the user is not known.';
COMMENT ON COLUMN public.case_overview.user_status IS 'active, suspended or closed, as it is now.';
COMMENT ON COLUMN public.case_overview.rules IS 'Names of the rules that fired on any of its alerts, in order.';

CREATE VIEW public.transaction_marks AS
SELECT case_alerts.txn_id, cases.state AS mark, cases.marked_by, cases.marked_at, cases.case_id
FROM public.cases
JOIN public.case_alerts USING (case_id)
WHERE cases.state IN ('confirmed', 'false_alarm');
COMMENT ON VIEW public.transaction_marks IS
    'What analysts said of transactions: one row for each of a case that was marked. The newest mark counts.';
COMMENT ON COLUMN public.transaction_marks.mark IS 'confirmed (it was fraud) or false_alarm (it was genuine).';
COMMENT ON COLUMN public.transaction_marks.marked_by IS 'Personal data. Who said so.';

CREATE VIEW public.shadow_comparison AS
SELECT
    hit.rule,
    hit.rules_version,
    count(*) AS hits,
    count(*) FILTER (WHERE seen.verdict = 'fraud') AS on_fraud,
    count(*) FILTER (WHERE seen.verdict = 'genuine') AS on_genuine,
    round(count(*) FILTER (WHERE seen.verdict = 'fraud') / count(*)::numeric, 6) AS share_on_fraud,
    min(hit.scored_at) AS first_hit_at,
    max(hit.scored_at) AS last_hit_at
FROM ops.rule_hit AS hit
JOIN ops.transaction_seen AS seen USING (txn_id)
WHERE hit.mode = 'shadow'
GROUP BY hit.rule, hit.rules_version;
COMMENT ON VIEW public.shadow_comparison IS
    'Rules that only watch, beside the verdicts that the others gave: on_genuine are the alerts that they would add.';

CREATE VIEW public.daily_fraud_overview AS
SELECT
    daily.day,
    daily.merchant_id,
    merchants.merchant_name,
    merchants.country_code AS merchant_country_code,
    merchants.country AS merchant_country,
    daily.channel,
    daily.rules,
    daily.transactions,
    daily.frauds,
    daily.amount,
    daily.fraud_amount
FROM public.daily_fraud AS daily
LEFT JOIN public.merchants USING (merchant_id);
COMMENT ON VIEW public.daily_fraud_overview IS
    'daily_fraud with its merchants, where they are known. Of one rule: WHERE ''huge_amount'' = ANY (rules).';
COMMENT ON COLUMN public.daily_fraud_overview.merchant_country IS 'The merchant''s country as it is now.';

CREATE VIEW ops.check_newest AS
-- Each check there is, by a step along the index for each: there are few checks and many results.
WITH RECURSIVE known AS (
    (SELECT asset, check_name FROM ops.check_result ORDER BY asset, check_name LIMIT 1)
    UNION ALL
    SELECT following.asset, following.check_name
    FROM known
    CROSS JOIN LATERAL (
        SELECT asset, check_name
        FROM ops.check_result
        WHERE (asset, check_name) > (known.asset, known.check_name)
        ORDER BY asset, check_name
        LIMIT 1
    ) AS following
)
SELECT result.*
FROM known
CROSS JOIN LATERAL (
    SELECT run, checked_at
    FROM ops.check_result
    WHERE (asset, check_name) = (known.asset, known.check_name)
    ORDER BY checked_at DESC
    LIMIT 1
) AS last
JOIN ops.check_result AS result USING (asset, check_name, run, checked_at);
COMMENT ON VIEW ops.check_newest IS 'What each check found when it last looked: one row, or one for each day that the run touched.';

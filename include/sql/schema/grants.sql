-- One group role that may read everything here and write nothing: GRANT paylake_reader TO <a person's login>.
-- Where Paylake's own login may not create roles, an administrator can; the grants are given when it exists.
DO $$
BEGIN
    IF to_regrole('paylake_reader') IS NULL
        AND (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user)
    THEN
        BEGIN
            CREATE ROLE paylake_reader NOLOGIN;
        EXCEPTION
            -- Roles belong to the server: a warehouse in another database may have made it this very moment.
            WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
    IF to_regrole('paylake_reader') IS NOT NULL THEN
        GRANT USAGE ON SCHEMA public TO paylake_reader;
        GRANT SELECT ON
            {domain_tables},
            public.transactions, public.fraud_share_by_day, public.fraud_share_by_country,
            public.fraud_share_by_merchant, public.fraud_share_by_rule, public.balances_by_currency,
            public.orphans, public.quarantine_summary, public.transaction_conflicts, public.shadow_comparison,
            public.cases, public.case_alerts, public.case_overview, public.transaction_marks,
            public.daily_fraud_overview
        TO paylake_reader;
    END IF;
END
$$

-- Rules that fired on a transaction without making it fraud.
SELECT rule, mode, rules_version, evidence FROM ops.rule_hit WHERE txn_id = %(txn_id)s ORDER BY rule

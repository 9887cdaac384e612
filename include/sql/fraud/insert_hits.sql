INSERT INTO ops.rule_hit (txn_id, rule, mode, rules_version, evidence, scored_at)
SELECT txn_id, rule, mode, %(rules_version)s, evidence, %(moment)s
FROM unnest(%(txn_ids)s::text[], %(rules)s::text[], %(modes)s::text[], %(evidence)s::jsonb[])
    AS hit (txn_id, rule, mode, evidence)

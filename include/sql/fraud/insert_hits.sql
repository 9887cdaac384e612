-- Where verdicts were lost and are given anew, what stood here is of the lost ones.
INSERT INTO ops.rule_hit (txn_id, rule, mode, rules_version, evidence, scored_at)
SELECT txn_id, rule, mode, %(rules_version)s, evidence, %(moment)s
FROM unnest(%(txn_ids)s::text[], %(rules)s::text[], %(modes)s::text[], %(evidence)s::jsonb[])
    AS hit (txn_id, rule, mode, evidence)
ON CONFLICT (txn_id, rule) DO UPDATE
SET (mode, rules_version, evidence, scored_at)
    = (excluded.mode, excluded.rules_version, excluded.evidence, excluded.scored_at)

WITH raised AS (
    UPDATE ops.scoring SET rules_promotion = rules_promotion + 1 RETURNING rules_promotion
)
INSERT INTO ops.rules_promotion (number, version, content, promoted_by, approved_in, approved_at, note)
SELECT rules_promotion, %(version)s, %(content)s, %(by)s, %(approved_in)s, %(approved_at)s, %(note)s FROM raised
RETURNING number, version, content, promoted_at, promoted_by, approved_in, approved_at, note

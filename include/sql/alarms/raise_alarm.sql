-- The window becomes an alarm, or a part of the one that is open.
WITH counted AS (
    DELETE FROM ops.rejected_window WHERE domain = %(domain)s RETURNING domain, since, records, rejected
),
told AS (
    SELECT coalesce(min(kept.since), min(counted.since)) AS since
    FROM counted
    LEFT JOIN ops.rejected_alarm AS kept ON kept.domain = counted.domain AND kept.accepted_at IS NULL
),
reasons AS (
    SELECT concat_ws(' ', reason ->> 'field', reason ->> 'code') AS name,
        count(DISTINCT (topic_id, partition_id, record_offset)) AS records
    FROM ops.quarantine
    CROSS JOIN LATERAL jsonb_array_elements(reasons) AS reason
    WHERE domain = %(domain)s AND redriven_at IS NULL AND quarantined_at >= (SELECT since FROM told)
    GROUP BY name
)
INSERT INTO ops.rejected_alarm AS kept (domain, since, records, rejected, limit_share, reasons)
SELECT domain, since, records, rejected, %(share)s,
    (SELECT coalesce(jsonb_object_agg(name, records), '{}') FROM reasons)
FROM counted
ON CONFLICT (domain) WHERE accepted_at IS NULL DO UPDATE
SET records = kept.records + excluded.records, rejected = kept.rejected + excluded.rejected,
    limit_share = excluded.limit_share, reasons = excluded.reasons

-- A record with two reasons of one code counts once for that code.
SELECT reason ->> 'code' AS code, count(DISTINCT (topic_id, partition_id, record_offset)) AS records
FROM ops.quarantine
CROSS JOIN LATERAL jsonb_array_elements(reasons) AS reason
WHERE domain = %(domain)s AND redriven_at IS NULL
GROUP BY code
ORDER BY records DESC, code

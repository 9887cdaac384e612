-- A record with several reasons is in several rows; the first row, whose code is NULL, is of all selected records.
WITH selected AS (
    SELECT domain, topic_id, partition_id, record_offset, reasons
    FROM ops.quarantine
    WHERE {selection}
)
SELECT NULL AS domain, NULL AS field, NULL AS code, count(*) AS records
FROM selected
UNION ALL
(
    SELECT domain, reason ->> 'field', reason ->> 'code', count(DISTINCT (topic_id, partition_id, record_offset))
    FROM selected
    CROSS JOIN LATERAL jsonb_array_elements(reasons) AS reason
    GROUP BY 1, 2, 3
    ORDER BY 1, 4 DESC, 3, 2
)

-- What is known now of merchants, and what the rules knew of them the last time.
SELECT asked.merchant_id,
    merchants.risk_level, merchants.category, merchants.country_code,
    known.since IS NOT NULL, known.risk_level, known.category, known.country_code
FROM unnest(%(ids)s::text[]) AS asked (merchant_id)
LEFT JOIN public.merchants USING (merchant_id)
LEFT JOIN LATERAL (
    SELECT since, risk_level, category, country_code
    FROM ops.merchant_as_scored
    WHERE merchant_as_scored.merchant_id = asked.merchant_id
    ORDER BY since DESC
    LIMIT 1
) AS known ON true

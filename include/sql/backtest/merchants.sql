-- What the rules knew of each merchant, from each moment on.
SELECT merchant_id, since, risk_level, category, country_code
FROM ops.merchant_as_scored
ORDER BY merchant_id, since

INSERT INTO ops.merchant_as_scored (merchant_id, since, risk_level, category, country_code)
SELECT merchant_id, %(moment)s, risk_level, category, country_code
FROM unnest(%(merchant_ids)s::text[], %(risk_levels)s::text[], %(categories)s::text[], %(country_codes)s::text[])
    AS merchant (merchant_id, risk_level, category, country_code)

SELECT merchant_id, risk_level FROM public.merchants WHERE merchant_id = ANY(%(ids)s) AND risk_level IS NOT NULL

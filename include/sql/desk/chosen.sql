scored_at >= %(since)s AND scored_at < %(until)s
    AND (%(rule)s::text IS NULL OR reasons @> ARRAY[%(rule)s::text])
    AND (%(user_id)s::text IS NULL OR fraud.user_id = %(user_id)s)
    AND (%(merchant_id)s::text IS NULL OR fraud.merchant_id = %(merchant_id)s)
    AND (%(channel)s::text IS NULL OR channel = %(channel)s)
    AND (%(country)s::text IS NULL OR merchants.country_code = %(country)s)

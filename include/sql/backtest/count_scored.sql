SELECT
    (SELECT count(*) FROM public.fraudtransaction WHERE scored_at >= %(since)s AND scored_at < %(until)s)
    + (SELECT count(*) FROM public.genuinetransaction WHERE scored_at >= %(since)s AND scored_at < %(until)s)

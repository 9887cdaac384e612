UPDATE ops.notice SET sent_to = sent_to || %(channel)s::text WHERE notice_id = %(notice_id)s

SELECT notice_id, at, subject, message
FROM ops.notice
WHERE at > now() - make_interval(secs => %(seconds)s) AND NOT %(channel)s = ANY(sent_to)
ORDER BY notice_id

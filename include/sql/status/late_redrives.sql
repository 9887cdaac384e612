SELECT domain, count(*), extract(epoch FROM now() - min(redrive_requested_at))::float8
FROM ops.quarantine
WHERE redriven_at IS NULL AND redrive_requested_at < now() - make_interval(secs => %(seconds)s)
GROUP BY domain
ORDER BY domain

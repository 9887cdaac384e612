SELECT domain, count(*), min(quarantined_at)
FROM ops.quarantine
WHERE redriven_at IS NULL
GROUP BY domain
ORDER BY domain

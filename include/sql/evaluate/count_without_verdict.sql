SELECT scenario, count(*) FROM settled WHERE caught IS NULL GROUP BY scenario

-- A moment among those of scoring, for what is known from then on; who scores waits until the caller's transaction ends.
UPDATE ops.scoring SET moment = greatest(clock_timestamp(), moment + interval '1 microsecond') RETURNING moment

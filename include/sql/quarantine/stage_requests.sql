-- Lives as long as the session: what it has asked silver to take in.
CREATE TEMPORARY TABLE redrive_request (
    topic_id      text NOT NULL,
    partition_id  integer NOT NULL,
    record_offset bigint NOT NULL,
    PRIMARY KEY (topic_id, partition_id, record_offset)
)

"""The stack without Docker: makes, starts, watches and removes Kafka, MinIO, PostgreSQL and Airflow on this machine."""

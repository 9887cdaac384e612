"""Spark: the session, the source that reads bronze, and the jobs."""

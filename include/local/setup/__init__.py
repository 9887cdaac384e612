"""What is there before a process runs: Java, jars, MinIO's build, archives, and the cache they lie in."""

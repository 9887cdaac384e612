"""What Paylake does with Kafka itself, whichever client reads or writes."""

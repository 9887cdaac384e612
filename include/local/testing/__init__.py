"""``./paylake test``, and servers for the length of a test session."""

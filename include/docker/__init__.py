"""The stack in Docker: its secrets, its command line, the health of its containers."""

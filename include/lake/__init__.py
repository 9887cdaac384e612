"""The lake: objects in S3, their names and their contents."""

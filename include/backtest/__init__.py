"""Rules tried on what is in bronze: what they would have said, with what was known at each record's own moment."""

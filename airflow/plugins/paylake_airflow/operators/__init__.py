"""The operators, by what they work on."""

"""A domain from a folder outside the repository, and what its records go through."""

"""``./paylake quarantine``: refused records are looked at, driven through again, or accepted."""

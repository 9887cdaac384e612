"""``./paylake cases`` and ``./paylake lists``: how an analyst works, and what the rules learn from it."""

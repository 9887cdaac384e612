"""`./paylake up` as others do it: with another Python, as an ordinary user, on what an earlier version left."""

"""``./paylake bench``: what the hot paths cost, each beside a limit or a peer that was measured in the same run."""

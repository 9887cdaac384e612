"""Silver on real servers."""

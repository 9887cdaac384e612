"""The page in a real browser, and the tools that look at its front end."""

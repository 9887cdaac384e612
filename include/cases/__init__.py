"""Cases: the alerts of one user that belong together, what people say of them, and who said it when."""

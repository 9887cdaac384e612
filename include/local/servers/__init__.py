"""The servers of a stack and how clients find them: what each is made of, and its process."""

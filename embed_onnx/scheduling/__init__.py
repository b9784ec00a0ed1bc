"""Which waiting sequences run next, and the threads that run them; knows sequences by length."""

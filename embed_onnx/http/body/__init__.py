"""A request's body: from its bytes to a struct, and the fields and inputs that every wire shares."""

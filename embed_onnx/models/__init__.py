"""One served model, and all of them by name."""

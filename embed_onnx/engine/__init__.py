"""Token ids in, results out, on one core; no queue and no HTTP."""

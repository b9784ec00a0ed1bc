"""Measurements, run by hand: ``python -m benchmarks.speed``, ``.server``, then ``.tables`` for the README."""

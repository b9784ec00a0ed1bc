"""Measurements, run by hand: ``peers`` first; ``speed``, ``load``, ``quality``, ``server``; ``tables``."""

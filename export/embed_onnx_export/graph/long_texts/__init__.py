"""Attention of long texts in blocks, written into a graph."""

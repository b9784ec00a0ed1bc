"""Attention as one operator, found in a graph that an exporter wrote."""

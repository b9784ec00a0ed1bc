"""Attention as one operator, recognised in a graph that an exporter wrote."""

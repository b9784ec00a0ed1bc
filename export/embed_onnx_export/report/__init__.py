"""The report card: measured, scored, drawn."""

"""Figures, claims and the report, drawn from stored results alone."""

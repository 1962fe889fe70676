"""Generative models of item rows: one protocol, five families, and what they are put to."""

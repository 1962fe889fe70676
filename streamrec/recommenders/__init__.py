"""Models that rank every item for a user: the classical ones that a two-tower model has to beat, and it."""

"""Prefect flows: they call the library in order and know nothing else."""

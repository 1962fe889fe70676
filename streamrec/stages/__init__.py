"""Finished stages of earlier runs, kept by what they depend on, and one run at a time."""

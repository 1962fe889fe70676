"""Torch modules and their losses; no input or output."""

"""Gaussian diffusion on vectors (n, d): pure functions, no network and no table."""

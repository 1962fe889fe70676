"""The HTTP service over the current bundle."""

"""The index, the published bundle, and search in it."""

"""Numbers about a model, pictures of them, and the report."""

"""How well a synthetic table stands for the real one: a module per family of metrics."""

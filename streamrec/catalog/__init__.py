"""Rows: generate, ingest, validate, encode."""

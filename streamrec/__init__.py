"""StreamRec: from a content platform's item table to embeddings a retrieval service can trust."""

__version__ = "0.1.0"

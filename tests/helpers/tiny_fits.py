"""Options of fits that take seconds."""

TINY = {"width": 0.03, "embedding_size": 6, "precision": "float32", "batch_size": 32, "quiet": True}

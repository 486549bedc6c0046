"""Peak embeddings of mutated sequences, without recomputing what a mutation leaves unchanged."""

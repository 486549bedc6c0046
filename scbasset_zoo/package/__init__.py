"""A model on disk: card, tables and test vectors; reading, writing, sealing and verifying."""

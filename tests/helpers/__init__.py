"""What tests share: small models, packages, servers and damaged files."""

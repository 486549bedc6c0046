"""A plugin of scbasset_zoo that predicts accessibility along regions."""

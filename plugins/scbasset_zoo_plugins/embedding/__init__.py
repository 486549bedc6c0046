"""The analysis `embedding`: cells in the model's latent space, clustered, mapped and scored."""

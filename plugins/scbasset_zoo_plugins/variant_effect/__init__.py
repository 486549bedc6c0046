"""The analysis `variant-effect`: what variants do to accessibility, and which effects are large."""

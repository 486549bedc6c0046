"""A plugin of scbasset_zoo that predicts the effects of variants on accessibility."""

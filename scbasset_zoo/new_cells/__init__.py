"""New cells into a model that is fitted: embeds them with the trunk as it is, and makes packages that have them."""

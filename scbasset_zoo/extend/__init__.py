"""What a plugin may import, beside `scbasset_zoo` itself. `docs/plugins.md` lists the modules and their promise of stability."""

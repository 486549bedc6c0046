"""Models of the zoo in Kipoi. `__init__.pyi` lists the names. The kipoi package is imported when a name that needs it is used."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

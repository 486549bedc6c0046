"""A model on disk: its card, tables and test vectors, and how they are read, written, sealed and verified.

`__init__.pyi` lists the public names. A name is loaded when it is first used, so that reading a card alone stays quick.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

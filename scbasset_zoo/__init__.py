"""Train scBasset, share it as one ONNX file and a card, and use it anywhere.

`__init__.pyi` lists the public names, each with the module that defines it. A name is loaded when it is first used. So importing
the package is quick, and never imports TensorFlow, Kipoi, scanpy, matplotlib or ONNX Runtime.
"""

import lazy_loader

from scbasset_zoo.version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

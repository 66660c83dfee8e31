"""Dual Super-Resolution Learning for Semantic Segmentation (Wang et al., CVPR 2020), reproduced.

The names of `__init__.pyi` are public: `from dsrl_lib import DSRL`. Each is loaded when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""Dual Super-Resolution Learning for Semantic Segmentation (Wang et al., CVPR 2020), reproduced.

The names of `__init__.pyi` are public: `from dsrl_lib import DSRL`. Each is loaded when it is first used.
"""

try:
    import lazy_loader
except ModuleNotFoundError:  # `./run_all.sh --help` works before there is an environment
    pass
else:
    __getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""The study: what is compared, planned, judged and drawn.

The names of `__init__.pyi` are those that the notebooks use: `from study import Study`. Each is loaded when it is first
used, so that a file that moves later changes no notebook.
"""

try:
    import lazy_loader
except ModuleNotFoundError:  # `./run_all.sh --help` works before there is an environment
    pass
else:
    __getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

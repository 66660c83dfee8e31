"""Loss terms as pure functions, and the criterion that adds them up. The names below load when they are first used."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"label_relaxation": ["boundary_weighted_cross_entropy", "relaxed_cross_entropy"]}
)

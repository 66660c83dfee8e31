"""Adaptive downsampling near semantic boundaries (Marin et al., "Efficient Segmentation: Learning Downsampling Near
Semantic Boundaries", ICCV 2019).

The frame is sampled at locations that crowd near boundaries, a host segments the samples, and its scores are
interpolated back to the pixels of the frame.

    targets.py     b(u), the nearest boundary pixel of each point of a uniform grid
    locations.py   phi, the minimiser of the energy (Eq. 2) that covers the frame (Eq. 3); folds and their repair
    auxiliary.py   the small network that predicts phi from the image
    sampler.py     the image at phi
    inverse.py     from scores at phi to scores of all pixels
    from_labels.py phi by the labels of a frame, as the settings of a run ask for it
    downsampler.py the part of a network that does all this

Locations are (row, column) in [0, 1]: 0 is the centre of the first pixel and 1 the centre of the last one, which
PyTorch calls align_corners=True. The rest of this project uses align_corners=False; `sample` and `interpolate_back`
convert, so no caller has to.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "downsampler": ["Downsampler"],
        "inverse": ["interpolate_back"],
        "locations": ["solve_locations", "unfolded", "uniform_locations"],
        "sampler": ["sample"],
        "targets": ["sampling_targets"],
    },
)

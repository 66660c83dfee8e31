"""Packages that offer functions for a training loop of one's own, without the modules that hold them."""

from dsrl_lib import losses
from dsrl_lib.losses.label_relaxation import relaxed_cross_entropy
from dsrl_lib.models import downsampling
from dsrl_lib.models.downsampling.inverse import interpolate_back
from dsrl_lib.models.downsampling.locations import solve_locations
from dsrl_lib.models.downsampling.sampler import sample
from dsrl_lib.models.downsampling.targets import sampling_targets


def test_packages_offer_the_functions_of_their_papers():
    assert losses.relaxed_cross_entropy is relaxed_cross_entropy
    assert downsampling.sampling_targets is sampling_targets and downsampling.solve_locations is solve_locations
    assert downsampling.sample is sample and downsampling.interpolate_back is interpolate_back
    for package in (losses, downsampling):
        assert package.__all__ and all(callable(getattr(package, name)) for name in package.__all__)

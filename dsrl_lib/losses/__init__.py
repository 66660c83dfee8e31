"""Loss terms as pure functions: L = cross_entropy + w1 * image_mse + w2 * feature_affinity."""

from dsrl_lib.losses.feature_affinity import feature_affinity
from dsrl_lib.losses.segmentation import cross_entropy, focal, hard_examples, image_mse, mass

__all__ = ["cross_entropy", "feature_affinity", "focal", "hard_examples", "image_mse", "mass"]

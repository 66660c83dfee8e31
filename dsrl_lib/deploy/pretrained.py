"""Open any weights: of a run directory, a file of this library, or a published state dict."""

from pathlib import Path

from dsrl_lib import network, registry, runs
from dsrl_lib.config import Config, Data, Model
from dsrl_lib.data.class_tables import CITYSCAPES
from dsrl_lib.models.build import build_host
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.paths import released_dir

CROP = (768, 1536)
"""Windows in sliding prediction with a published file that does not say at which size it was trained."""


def from_pretrained(name_or_path: str | Path, host: str | None = None) -> tuple[DSRL, Config]:
    """The network and configuration of a path (`open_weights`), a released name, or the id of a run in results.

    The network is in evaluation mode. ValueError, with the released names, if nothing has that name; FileNotFoundError
    if there is no such file, or the run came without its weights.
    """
    return open_weights(weights_path(name_or_path), host)


def weights_path(name_or_path: str | Path) -> Path:
    """The file or run directory that a path, a released name, or the id of a run means; errors as `from_pretrained`."""
    path = Path(name_or_path)
    if not str(name_or_path).strip():  # it would be the working folder
        raise ValueError(f"an empty name is no weights; released weights: {', '.join(released()) or 'none'}")
    if path.name != str(name_or_path) or path.suffix in runs.SUFFIXES or (path / runs.WEIGHTS).exists():
        return path
    if path.name in released():
        return released_dir() / f"{path.name}.safetensors"
    if path.exists() and not path.is_dir():
        return path
    try:
        return runs.find_run(path.name)  # a folder of that name without weights may hold predictions
    except ValueError as error:
        if path.exists():
            return path
        raise ValueError(f"{error}; released weights: {', '.join(released()) or 'none'}") from None


def released() -> list[str]:
    """The names of the weights that come with this repository."""
    return sorted(path.stem for path in released_dir().glob("*.safetensors"))


def weights_of(config: Config) -> Path | None:
    """The run directory of a configuration if it holds the final weights, or else the released file of that run: the
    whole one, if the run was released both whole and pruned."""
    directory = runs.folder(config)
    if (directory / runs.WEIGHTS).exists():
        return directory
    return runs.released_weights(config.run_id, whole=True)


def open_weights(path: str | Path, host: str | None = None) -> tuple[DSRL, Config]:
    """The network and configuration of a run directory, a file that this library wrote, or a published state dict.

    host: needed for a state dict (`.pth` or `.pt`), which does not say what it is; nothing in it is executed.
    ValueError with the keys that differ if a file does not fit, FileNotFoundError if there is none.
    """
    path = runs.weights_file(Path(path))
    if not path.exists():
        raise FileNotFoundError(runs.missing_weights(path))
    if path.suffix in runs.STATE_DICTS:
        return _published(path, host)
    model, config = network.load(path)
    if host not in (None, config.model.host):
        raise ValueError(f"host = {host!r}, but {path} holds a {config.model.host}; only a state dict needs the option")
    return model, config


def _published(path: Path, host: str | None) -> tuple[DSRL, Config]:
    """A network with the Cityscapes classes, and a configuration that evaluates it on input of HR size."""
    if host is None:
        raise ValueError(f"{path} is a plain state dict: say which network it is with --host, such as espnetv2_s2.0")
    settings = Model(host, input_scale=1.0)  # first: ValueError for an unknown host names those that there are
    published = registry.HOSTS[host].weights.items()
    trained = next((file.input for name, file in published if name.removeprefix("cityscapes_") in path.stem), None)
    size, crop = trained or registry.CITYSCAPES_SIZE, trained or CROP
    config = Config("published", "hr", data=Data("cityscapes", *size, *crop), model=settings)
    model = build_host(host, len(CITYSCAPES.classes), path, rows=range(len(CITYSCAPES.classes)))
    return DSRL(model, sssr=False).eval(), config

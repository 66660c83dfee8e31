"""What interpolation restores at each input of a profile: for runs that were trained before runs recorded it."""

from pathlib import Path

from dsrl_lib.config import Config
from dsrl_lib.data.split import load_split
from dsrl_lib.evaluation.interpolation import interpolation_quality
from dsrl_lib.paths import check_folder, results_dir
from dsrl_lib.records import write_json
from study.catalogue import SPLITS, input_key, some_runs


def write_interpolation(profile: str) -> Path:
    """Write results/<profile>/interpolation.json: PSNR and SSIM by input (`catalogue.input_key`), split and method.

    ValueError if there are no runs.
    """
    check_folder(results_dir() / profile, "DSRL_RESULTS")  # before all is measured
    configs = [Config.from_dict(run.config) for run in some_runs(profile)]
    inputs = {input_key(config.to_dict()): config for config in configs if config.model.sisr}
    found = {
        key: {split: interpolation_quality(load_split(config.data.dataset, split), config) for split in SPLITS}
        for key, config in inputs.items()
    }
    path = results_dir() / profile / "interpolation.json"
    write_json(path, found)
    return path

"""The pictures of README.md: the method, and what the networks make of one test frame."""

from pathlib import Path

from dsrl_lib.data.class_tables import class_table, colourise
from dsrl_lib.data.split import load_split
from dsrl_lib.deploy.pretrained import open_weights, weights_of
from dsrl_lib.paths import root
from study.catalogue import some_runs
from study.evidence import Study
from study.figures import panels, showcase
from study.figures.method_picture import method_picture
from study.figures.photo import Photo
from study.figures.style import save
from study.presets import preset
from study.profiles import PROFILES
from study.report.tables import frame_table

PROFILE, SEED = "camvid", 0
ARMS = ("lr", "dsrl", "mac_matched")


def draw_pictures() -> list[Path]:
    """Write method.svg and result.jpg into docs/pictures.

    The frame is the median one of the test split by the gain of `dsrl` over `lr`. Shown are the arms whose runs of
    seed 0 have weights here, or released ones. ValueError without runs, FileNotFoundError without weights of `dsrl`.
    """
    some_runs(PROFILE)  # a mistake shows before anything is drawn
    folder, dataset = root() / "docs" / "pictures", PROFILES[PROFILE].base.data.dataset
    frames = frame_table(Study(PROFILE), "dsrl", "lr")
    index = int(frames["index"].iloc[len(frames) // 2])
    split, table, shown = load_split(dataset, "test"), class_table(dataset), {}
    for arm in ARMS:
        if weights := weights_of(preset(PROFILE, arm, seed=SEED)):
            model, config = open_weights(weights)
            shown[arm] = showcase.example(model.eval(), config, split, index)
    if "dsrl" not in shown:
        raise FileNotFoundError(f"no weights of {preset(PROFILE, 'dsrl', seed=SEED).run_id}, in its run or released")
    dsrl = shown["dsrl"]
    method = method_picture(dsrl.image, colourise(dsrl.prediction, table), dsrl.reconstruction)
    rows = [panels.Prediction(f"{arm}: input", made.image, made.truth, made.prediction) for arm, made in shown.items()]
    result = folder / "result.jpg"
    result.write_bytes(Photo(panels.predictions(rows, table)).jpeg())
    return [save(method, folder / "method.svg"), result]

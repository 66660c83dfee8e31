"""Images that are trained on and scored."""

from pathlib import Path

from written_frames import cycle, picture, save

from dsrl_lib.data.overlap import shared_images
from dsrl_lib.data.split import load_split


def test_an_image_of_two_splits_is_found_under_any_name(root: Path) -> None:
    (root / "orchard").mkdir(parents=True)
    (root / "orchard/classes.txt").write_text("soil\ntree\n")
    for split, seeds in (("train", (0, 1, 2)), ("val", (3, 1))):
        for k, seed in enumerate(seeds):
            save(root / f"orchard/{split}/images/{k}.bmp", picture(seed))  # all files have one size
            save(root / f"orchard/{split}/labels/{k}.png", cycle(0, 1))
    train, val = (load_split("orchard", split) for split in ("train", "val"))
    assert shared_images(train, val) == [root / "orchard/val/images/1.bmp"]

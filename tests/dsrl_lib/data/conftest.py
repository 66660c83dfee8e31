"""What the tests of data share."""

from pathlib import Path

import pytest
from camvid_frames import image, label
from written_frames import save


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, with a cache of its own."""
    monkeypatch.setenv("DSRL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("DSRL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "data"


@pytest.fixture
def camvid(root: Path) -> Path:
    """Three frames of two sequences, one of them as JPEG."""
    for seed, stem in enumerate(("0016E5_00390", "0016E5_00420", "Seq05VD_f00000")):
        save(root / f"camvid/val/{stem}.{'jpg' if seed == 1 else 'png'}", image(seed))
        save(root / f"camvid/valannot/{stem}.png", label(seed))
    return root / "camvid"

"""What benchmarks are told, before they measure."""

import pytest

from benchmarks import report
from dsrl_lib.paths import DataError


def test_missing_frames_are_said_before_anything_is_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("DSRL_DATA", str(tmp_path))
    too_late = ("", lambda: pytest.fail("the error came after the work"))
    monkeypatch.setattr(report, "BENCHES", dict.fromkeys(report.BENCHES, too_late))
    for what in ("all", "loader"):
        with pytest.raises(DataError, match="CamVid is not complete"):
            report.report(what, 1, {})

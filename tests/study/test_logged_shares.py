"""The shares of the gradient that runs logged: every arm that has them, at both ends of its last stage."""

import pandas as pd
from made_up_runs import MadeUpRun

from study.evidence import Study
from study.figures.notes import Note
from study.report.logged_shares import share_chart, share_table


def logging_run(arm: str, seed: int, after: str = "", **shares: list[float]) -> MadeUpRun:
    run = MadeUpRun(arm, seed, 50.0, profile="idd")
    run.config["warm_start"] = after
    columns = {f"share_{term}": values for term, values in shares.items()}
    run.__dict__["history"] = pd.DataFrame({"epoch": [1, 2, 3], "share_ce": [0.8] * 3} | columns)
    return run


def study_of_two_seeds() -> Study:
    runs = []
    for seed, extra in ((0, 0.0), (1, 0.02)):
        stage = logging_run("sssr_sisr", seed, mse=[0.2, 0.3, 0.4])
        last = logging_run("dsrl", seed, stage.run_id, mse=[0.1 + extra, 0.5, 0.3], fa=[0.04, 0.05, 0.06 + extra])
        silent = logging_run("sssr_sisr_long", seed, stage.run_id)
        runs += [logging_run("lr", seed), stage, last, silent]
    return Study("idd", runs)


def test_the_table_has_both_ends_of_the_last_stage_and_names_arms_that_did_not_log():
    lines = share_table(study_of_two_seeds()).splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    cells = {row[0]: row[1:] for row in rows if row}
    assert cells["dsrl"] == ["2", "11.0 %", "30.0 %", "4.0 %", "7.0 %"]
    assert cells["sssr_sisr"] == ["2", "20.0 %", "40.0 %", "", ""]
    assert "lr" not in cells and lines[-1] == "Trained before the shares were logged: sssr_sisr_long."


def test_the_figure_has_a_panel_for_each_arm_through_its_stages():
    """The stage before `dsrl` is in its panel, three epochs before its own."""
    (axes,) = share_chart(study_of_two_seeds()).axes
    assert axes.get_title(loc="left") == "dsrl"
    means = [list(line.get_ydata()) for line in axes.lines if line.get_marker() == "o"]
    assert [len(mean) for mean in means] == [6, 3]
    legend = axes.figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["SISR (w1 MSE)", "FA (w2)"]


def test_controls_are_in_the_table_and_not_in_the_figure():
    control = logging_run("sisr_frozen_share", 0, mse=[0.1] * 3, fa=[0.1] * 3)
    study = Study("idd", [*study_of_two_seeds().runs, control])
    assert "| sisr_frozen_share " in share_table(study) and len(share_chart(study).axes) == 1


def test_arms_that_are_asked_for_have_a_figure_and_a_table_of_their_own():
    stage = logging_run("sssr_sisr_frozen_share", 0, mse=[0.1] * 3)
    control = logging_run("sisr_frozen_share", 0, stage.run_id, mse=[0.1] * 3, fa=[0.2, 0.1, 0.03])
    study = Study("idd", [*study_of_two_seeds().runs, stage, control])
    asked = ("sisr_frozen_share", "sisr_noise_share", "sssr_sisr_long")
    (axes,) = share_chart(study, asked).axes
    assert axes.get_title(loc="left") == "sisr_frozen_share"
    text = share_table(study, asked)
    assert "| sisr_frozen_share " in text and "3.0 %" in text and "| dsrl " not in text
    assert text.endswith("Trained before the shares were logged: sssr_sisr_long.")
    assert isinstance(share_chart(study, ["sisr_noise_share"]), Note)


def test_a_profile_without_such_losses_says_so():
    study = Study("idd", [logging_run("lr", 0)])
    assert isinstance(share_chart(study), Note) and share_table(study) == share_chart(study)

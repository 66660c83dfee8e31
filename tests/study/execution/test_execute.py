"""The strict papermill call: nothing ignored, nothing of the machine in the output, no half-written file."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from dsrl_lib import paths
from dsrl_lib.allowed import check
from dsrl_lib.training.signals import StoppedError
from study.execution import notebooks
from study.execution.notebooks import NotebookError, check_parameters, execute
from study.execution.portable import clean, portable

RICH = """
import os, sys, tempfile, time
from pathlib import Path
import dsrl_lib
for i in range(3):
    print("out", i, flush=True)
    print(f"\\r{i} i" "t/s {time.time()}", end="", file=sys.stderr, flush=True)
print(file=sys.stderr)
print(Path(dsrl_lib.__file__), Path.home() / "x", os.getcwd(), tempfile.mkdtemp(), object())
"""
FIGURE = """
import matplotlib.pyplot as plt
plt.plot([1, 2]);
"""


def text_of(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))


def test_a_kernel_finds_the_repository_where_it_is_not_installed(make_notebook, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "mine")
    wanted = os.pathsep.join([str(paths.root()), "mine"])
    execute(
        make_notebook("where", "seed = 0", f"import os\nassert os.environ['PYTHONPATH'] == {wanted!r}"),
        tmp_path / "out.ipynb",
        {},
    )


def test_repeated_run_gives_identical_bytes_without_machine_paths(make_notebook, tmp_path):
    notebook = make_notebook("rich", "seed = 0", RICH, FIGURE)
    first, second = tmp_path / "a" / "first.ipynb", tmp_path / "b" / "second.ipynb"
    execute(notebook, first, {"seed": "3"})
    execute(notebook, second, {"seed": 3})
    assert first.read_bytes() == second.read_bytes()
    assert sorted(p.name for p in first.parent.iterdir()) == ["first.ipynb"]

    whole = first.read_text()
    for leak in (str(paths.root()), str(Path.home()) + "/", str(tmp_path), "/tmp/", "ipykernel_", "it/s"):
        assert leak not in whole, leak
    assert text_of(first).startswith("out 0\nout 1\nout 2\n")
    assert "./dsrl_lib/__init__.py ~/x" in text_of(first)
    assert '"image/png"' in whole
    assert "seed = 3" in whole


def test_an_executed_notebook_begins_with_its_answers(make_notebook, tmp_path):
    code = "from study.figures.notes import Answer, Note\ndisplay(Answer('**one**'), Note('no'), Answer('**one**'))"
    notebook = make_notebook("asks", "seed = 0", "'no'", code, "Answer('two')")
    output = tmp_path / "answered.ipynb"
    content = nbformat.read(notebook, as_version=4)
    first = nbformat.v4.new_markdown_cell("# Title\n**Question.** What?\n\n**Answer.** See below.\n\n**Time.** None.")
    content.cells.insert(0, first)
    nbformat.write(content, notebook)
    execute(notebook, output, {})
    assert nbformat.read(output, as_version=4).cells[0].source == (
        "# Title\n**Question.** What?\n\n**Answer.** See below.\n\n**one**\n\ntwo\n\n**Time.** None."
    )
    execute(notebook, output, {"seed": "1"})
    assert "See below.\n\n**one**\n\ntwo\n\n**Time.**" in nbformat.read(output, as_version=4).cells[0].source


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{root}/results/a.csv", "./results/a.csv"),
        ("File {root}/a.py, {home}/b", "File ./a.py, ~/b"),
        ("{root}-other stays, so does a{root}", "{root}-other stays, so does a{root}"),
        ("/tmp/ipykernel_12/345.py:3", "<cell>:3"),
        ("<object object at 0x7fd0a1b2c3d0>", "<object object at 0x...>"),
    ],
)
def test_portable_text(text, expected, monkeypatch):
    monkeypatch.setattr(paths, "root", lambda: Path("/srv/study"))
    here = {"root": paths.root(), "home": Path.home()}
    assert portable(text.format(**here)) == expected.format(**here)


def test_folders_set_by_variables_have_the_names_of_the_variables(monkeypatch, tmp_path):
    monkeypatch.setenv("DSRL_DATA", str(tmp_path / "frames"))
    assert portable(f"read {tmp_path}/frames/camvid") == "read $DSRL_DATA/camvid"


def test_streams_are_merged_and_progress_bars_dropped():
    def stream(name, text):
        return nbformat.v4.new_output("stream", name=name, text=text)

    pieces = [
        stream("stdout", "a"),
        stream("stderr", "\r 10%"),
        stream("stdout", "b\n"),
        stream("stderr", "\r 20%\ndone\n"),
    ]
    cell = nbformat.v4.new_code_cell("x", outputs=pieces)
    merged = clean(nbformat.v4.new_notebook(cells=[cell])).cells[0].outputs
    assert [(o.name, o.text) for o in merged] == [("stdout", "ab\n"), ("stderr", "done\n")]


def test_unknown_parameter_is_an_error_that_names_the_valid_ones(make_notebook, tmp_path):
    notebook = make_notebook("strict", "seed = 0\nhost: str = 'x'", "1 / 0")
    with pytest.raises(ValueError, match=r"strict\.ipynb has no parameter 'sed'; valid: seed, host"):
        execute(notebook, tmp_path / "out.ipynb", {"sed": 3})
    assert not (tmp_path / "out.ipynb").exists()
    with pytest.raises(FileNotFoundError, match=r"absent\.ipynb"):
        execute(tmp_path / "absent.ipynb", tmp_path / "out.ipynb", {})


def test_an_unknown_profile_is_named_before_a_kernel_is_started(make_notebook, tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "_run", lambda *_: pytest.fail("a kernel was started"))
    notebook = make_notebook("shown", 'profile = "smoke"', "print(profile)")
    with pytest.raises(ValueError, match="unknown profile 'cmavid'; valid: smoke, camvid"):
        execute(notebook, tmp_path / "out.ipynb", {"profile": "cmavid"})


@pytest.mark.parametrize(
    ("name", "default", "value", "said"),
    [("pixel_y", 0.6, "7", "7.0; allowed: a number from 0 to 1"), ("pixel_x", 0.5, "1e999", "inf; allowed: a number"),
     ("seed", 0, "-1", "-1; allowed: a whole number, from 0 to 4294967295"), ("device", "auto", "gpu", "'gpu'; allow"),
     ("devices", 1, "0", "0; allowed: a whole number, 1 or more"), ("every", 2, "0", "0; allowed: a whole number, 1"),
     ("workers", 0, "-1", "-1; allowed: a whole number"), ("studies", 100, "0", "0; allowed: a whole number, from 1"),
     ("live", 0, "2", "2; allowed: 0, 1")],
)  # fmt: skip
def test_a_parameter_out_of_its_range_is_named_before_a_kernel_is_started(
    make_notebook, tmp_path, monkeypatch, name, default, value, said
):
    """A notebook that trains uses the pixel of its maps after hours."""
    monkeypatch.setattr(notebooks, "_run", lambda *_: pytest.fail("a kernel was started"))
    notebook = make_notebook("ranged", f"{name} = {default!r}", "1")
    with pytest.raises(ValueError, match=f"parameter {name} = {said}"):
        execute(notebook, tmp_path / "out.ipynb", {name: value})


def test_the_defaults_of_all_notebooks_are_in_their_ranges():
    for path in sorted((paths.root() / "notebooks").glob("*.ipynb")):
        for name, value in notebooks._defaults(path).items():
            if name in notebooks.KINDS:
                check(name, value, notebooks.KINDS[name])


def test_a_default_that_is_computed_is_named(make_notebook):
    with pytest.raises(ValueError, match=r"computed\.ipynb cannot be read: lr = 2 \* 3; allowed: plain values"):
        check_parameters(make_notebook("computed", "seed = 0\nlr = 2 * 3"), {"seed": 1})


def test_an_empty_word_is_no_notebook(python_m):
    for words in (["", "o.ipynb"], ["a.ipynb", ""]):
        done = subprocess.run([*python_m, "study", "execute", *words], capture_output=True, text=True)
        assert done.returncode == 2 and "an empty word is no path" in done.stderr


def test_parameters_take_the_type_of_their_default(make_notebook):
    notebook = make_notebook("typed", "seed = 0\nlr = 0.1\nhost = 'x'\nfast = False\narms = ['a']\nlimit = None")
    given = {"seed": "2", "lr": "1", "host": "3", "fast": "True", "arms": "['b', 'c']", "limit": "5"}
    expected = {"seed": 2, "lr": 1.0, "host": "3", "fast": True, "arms": ["b", "c"], "limit": 5}
    assert check_parameters(notebook, given) == expected
    with pytest.raises(ValueError, match="parameter seed: 'two' is not of type int"):
        check_parameters(notebook, {"seed": "two"})
    with pytest.raises(ValueError, match="parameter fast: 1 is not of type bool"):
        check_parameters(notebook, {"fast": "1"})


@pytest.mark.parametrize("clashes", [1, 3])
def test_a_kernel_whose_port_was_taken_is_started_again(make_notebook, tmp_path, monkeypatch, clashes):
    import papermill

    calls, real = [], papermill.execute_notebook

    def start(*arguments, **options):
        calls.append(arguments)
        if len(calls) <= clashes:
            raise RuntimeError("Kernel died before replying to kernel_info")
        return real(*arguments, **options)

    monkeypatch.setattr(papermill, "execute_notebook", start)
    notebook, output = make_notebook("plain", "seed = 0"), tmp_path / "out.ipynb"
    if clashes == 1:
        execute(notebook, output, {})
        assert output.exists() and len(calls) == 2
    else:
        with pytest.raises(RuntimeError, match="Kernel died before"):
            execute(notebook, output, {})
        assert not output.exists() and len(calls) == 3


def test_a_kernel_that_ends_since_it_was_asked_to_is_not_started_again(make_notebook, tmp_path, monkeypatch):
    import papermill

    calls = []

    def start(*arguments, **options):
        calls.append(arguments)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)  # the main thread takes the signal
        raise RuntimeError("Kernel died before replying to kernel_info")

    monkeypatch.setattr(papermill, "execute_notebook", start)
    with pytest.raises(StoppedError, match=r"plain\.ipynb: stopped, as asked; the same command executes it again"):
        execute(make_notebook("plain", "seed = 0"), tmp_path / "out.ipynb", {})
    assert len(calls) == 1 and not (tmp_path / "out.ipynb").exists()


def test_a_notebook_never_overwrites_itself(make_notebook, tmp_path):
    notebook = make_notebook("mine", "seed = 0")
    (tmp_path / "link.ipynb").symlink_to(notebook)
    (tmp_path / "folder.ipynb").mkdir()
    before = notebook.read_bytes()
    for output, message in ((notebook, "is the notebook itself"), (tmp_path / "link.ipynb", "is the notebook itself")):
        with pytest.raises(ValueError, match=message):
            execute(notebook, output, {})
    with pytest.raises(OSError, match="is a folder"):
        execute(notebook, tmp_path / "folder.ipynb", {})
    with pytest.raises(ValueError, match=r"output = .*mine\.py; allowed: a name that ends in \.ipynb"):
        execute(notebook, tmp_path / "mine.py", {})
    assert notebook.read_bytes() == before
    failed = notebook.rename(tmp_path / "again.failed.ipynb")  # what is left of a notebook that failed, executed again
    with pytest.raises(ValueError, match=r"again\.ipynb would replace the notebook by again\.failed\.ipynb"):
        execute(failed, tmp_path / "again.ipynb", {})
    assert failed.read_bytes() == before


@pytest.mark.parametrize("content", ["", "[1]", "{}", '{"cells": 3, "nbformat": 4, "nbformat_minor": 5}'])
def test_a_file_that_is_no_notebook_is_named(tmp_path, content):
    path = tmp_path / "no.ipynb"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"the parameters of .*no\.ipynb cannot be read"):
        check_parameters(path, {})


def test_failing_cell_is_named_and_the_old_output_kept(make_notebook, tmp_path):
    notebook = make_notebook("broken", "seed = 0", "print('before')", "int('x')", "print('after')")
    output = tmp_path / "out.ipynb"
    output.write_text("the last good one")
    with pytest.raises(NotebookError, match=r"broken\.ipynb, In \[\d\]: ValueError: invalid literal.*'x'") as error:
        execute(notebook, output, {"seed": 1})
    failed = tmp_path / "out.failed.ipynb"
    assert str(failed) in str(error.value)
    assert "before" in text_of(failed) and "after\n" not in text_of(failed)
    assert output.read_text() == "the last good one"
    assert not list(tmp_path.glob("*.partial.ipynb"))


def test_command_line_reports_the_cell_and_exits_1(make_notebook, tmp_path):
    notebook = make_notebook("broken", "seed = 0", "raise RuntimeError('no luck')")
    arguments = ["execute", str(notebook), str(tmp_path / "out.ipynb"), "-p", "seed", "2"]
    done = subprocess.run([sys.executable, "-m", "study", *arguments], capture_output=True, text=True)
    assert done.returncode == 1
    assert "broken.ipynb, In [" in done.stderr and "RuntimeError: no luck" in done.stderr
    assert "Traceback" not in done.stderr


def test_output_is_plain_json_with_only_tags_as_cell_metadata(make_notebook, tmp_path):
    output = tmp_path / "out.ipynb"
    execute(make_notebook("plain", "seed = 0", "seed"), output, {"seed": 1})
    content = json.loads(output.read_text())
    assert sorted(content["metadata"]) == ["kernelspec", "language_info"]
    assert [cell["metadata"] for cell in content["cells"]] == [
        {"tags": ["parameters"]},
        {"tags": ["injected-parameters"]},
        {},
    ]


def test_a_relative_folder_is_that_of_the_caller(make_notebook, tmp_path, monkeypatch):
    """A notebook is executed in its own folder."""
    notebook = make_notebook("where", "", "from dsrl_lib.paths import results_dir\nprint(results_dir().name)",
                             "import os\nprint(os.path.relpath(os.environ['DSRL_RESULTS'], os.getcwd()))")  # fmt: skip
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("DSRL_RESULTS", "mine")
    execute(notebook, tmp_path / "done.ipynb", {})
    assert text_of(tmp_path / "done.ipynb").split() == ["mine", "here/mine"]


def test_a_user_without_a_home_executes_notebooks(make_notebook, tmp_path, monkeypatch):
    """As in a container, whose system does not know the number of the user."""

    def unknown(number: int) -> None:
        raise KeyError(number)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    execute(make_notebook("plain", "seed = 0", "print(seed)"), tmp_path / "out.ipynb", {})
    assert text_of(tmp_path / "out.ipynb") == "0\n"

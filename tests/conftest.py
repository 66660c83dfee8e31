"""What many tests share: results go to a temporary folder, one thread is enough, `isolation` holds."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from isolation import changed, no_network  # noqa: F401 (a fixture of every test)

from dsrl_lib.config import Config
from study.execution import warm

# Read when numpy and torch start, here and in the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
LONGEST = ("test_slurm.py", "test_distributed.py", "test_export.py")
CHANGED = pytest.StashKey[set[str]]()


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[CHANGED] = changed()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A file that was changed or left in the checkout fails the session, in the process that controls the others."""
    new = changed() - session.config.stash[CHANGED]
    if new and not hasattr(session.config, "workerinput"):
        session.config.get_terminal_writer().line(f"\nThe tests changed files of the checkout: {sorted(new)}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that the other process works beside them: on Slurm the tests mostly wait."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session", autouse=True)
def single_latency() -> None:
    """Short measurements in this process; `python_m` has them in those that it forks."""
    import single_latency  # noqa: F401 (lazy: the process that controls the workers needs no PyTorch)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty results folder, also for processes that the test starts."""
    folder = tmp_path / "results"
    monkeypatch.setenv("DSRL_RESULTS", str(folder))
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Config], Path]:
    """`trained(config)`: the directory of its run, trained once for all tests of all workers. They only read it."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder

    def train(config: Config) -> Path:
        from study.train import train_with_parents  # lazy, as above

        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DSRL_RESULTS", str(folder / "trained"))
            return train_with_parents(config, device="cpu", progress=False)

    return train


@pytest.fixture(scope="session")
def python_m() -> Iterator[list[str]]:
    """What stands for `python -m`: modules run in processes forked from one that has imported the libraries."""
    more = ("benchmarks", "torch.distributed.run", "tests.helpers.single_latency")
    with warm.server((*warm.PRELOADED, *more)), pytest.MonkeyPatch.context() as patch:
        command = warm.python_m()
        patch.delenv(warm.VARIABLE)  # other tests start their processes as users do
        yield command


@pytest.fixture
def command_line(python_m: list[str]) -> Callable[..., subprocess.CompletedProcess]:
    """`command_line("study", "plan", DSRL_DATA="elsewhere")`: what `python -m study plan` returned and printed."""

    def call(package: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess:
        command = [*python_m, package, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)

    return call


@pytest.fixture
def make_notebook(tmp_path: Path) -> Callable[..., Path]:
    """`make_notebook(name, "seed = 0", "print(seed)")`: the path of a `parameters` cell and a code cell."""

    import nbformat  # lazy: it takes three seconds, and few tests make a notebook

    def make(name: str, parameters: str, *code: str) -> Path:
        cells = [nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})]
        cells += [nbformat.v4.new_code_cell(source) for source in code]
        kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
        path = tmp_path / f"{name}.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
        return path

    return make

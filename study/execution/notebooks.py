"""Run a notebook with parameters, strictly.

papermill only warns about an unknown parameter and takes the default; here it is an error. The output
is written whole or not at all, and a repeated run reproduces it byte for byte (see `portable`).
"""

import ast
import asyncio
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any, Literal
from uuid import uuid4

import nbformat

from dsrl_lib.allowed import at_least, between, check, workers
from dsrl_lib.paths import check_file, moved_folders, root
from dsrl_lib.training.signals import StoppedError, passed_on_to_children
from study.execution import warm
from study.execution.answers import answer_first
from study.execution.portable import clean
from study.profiles import known_profile

KINDS: Mapping[str, Any] = {
    "seed": Annotated[int, between(0, 2**32 - 1)],
    "device": Literal["auto", "cpu", "cuda"],
    "workers": Annotated[int, workers()],
    "devices": Annotated[int, at_least(1)],
    "pixel_y": Annotated[float, between(0, 1)],
    "pixel_x": Annotated[float, between(0, 1)],
    "every": Annotated[int, at_least(1)],
    "studies": Annotated[int, between(1, 100_000)],
    "live": Literal[0, 1],
}
"""What parameters of these names may be, in every notebook."""


class NotebookError(RuntimeError):
    """A cell of a notebook failed; the message names the notebook, the cell and the error."""


def execute(notebook: Path | str, output: Path | str, parameters: Mapping[str, Any]) -> None:
    """Execute `notebook` with `parameters` in its own folder, write the clean result to `output`.

    Raises FileNotFoundError for a missing notebook, ValueError for a parameter that the notebook lacks or of another
    type or out of its range (KINDS), for an unknown profile, and for an output that is no notebook or would replace
    `notebook`, StoppedError if it was asked to stop, and NotebookError for a failing cell. The notebook as far as it
    went is then kept beside the output as `<name>.failed.ipynb`.
    """
    notebook, output = Path(notebook), Path(output)
    values = check_parameters(notebook, parameters)
    if "profile" in values:
        known_profile(values["profile"])  # before a kernel is started
    for name in values.keys() & KINDS.keys():  # a notebook may use them after hours of training alone
        check(f"parameter {name}", values[name], KINDS[name])
    if output.suffix != ".ipynb":
        raise ValueError(f"output = {output}; allowed: a name that ends in .ipynb")
    failed = output.with_suffix(".failed.ipynb")
    for written in (output, failed):  # the second one is where a notebook goes that fails, and is removed after success
        if written.exists() and written.samefile(notebook):
            what = "is the notebook itself" if written == output else f"would replace the notebook by {failed.name}"
            raise ValueError(f"output = {output} {what}: choose another file")
    check_file(output, "output")
    partial = output.with_suffix(f".{uuid4().hex}.partial.ipynb")  # its own: two jobs may execute one notebook at once
    try:
        error = _run(notebook, partial, values)
        if partial.exists():
            nbformat.write(answer_first(clean(nbformat.read(partial, as_version=4))), partial)
            partial.replace(failed if error else output)
    finally:
        partial.unlink(missing_ok=True)
    if error:
        raise NotebookError(f"{notebook.name}, {error}\nas far as it went: {failed}")
    failed.unlink(missing_ok=True)


def check_parameters(notebook: Path, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """`parameters` in the types of the notebook's defaults; text, as from a command line, is converted.

    Raises FileNotFoundError and ValueError as `execute` does.
    """
    if not notebook.is_file():
        raise FileNotFoundError(f"there is no notebook {notebook}")
    defaults = _defaults(notebook)
    unknown = [name for name in parameters if name not in defaults]
    if unknown:
        raise ValueError(f"{notebook.name} has no parameter {unknown[0]!r}; valid: {', '.join(defaults) or 'none'}")
    return {name: _as_type_of(defaults[name], name, value) for name, value in parameters.items()}


def _defaults(notebook: Path) -> dict[str, Any]:
    """What the cell tagged `parameters` assigns: plain literals by name. ValueError for a file that is no notebook."""
    try:
        cells = nbformat.read(notebook, as_version=4).cells
        tagged = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
        tree = ast.parse("\n".join(tagged))
    except (ValueError, AttributeError, LookupError, TypeError, SyntaxError, nbformat.ValidationError) as error:
        raise ValueError(f"the parameters of {notebook} cannot be read: {shorten(str(error), 200)}") from None
    defaults = {}
    for node in ast.walk(tree):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(target, ast.Name) and node.value:
            try:
                defaults[target.id] = ast.literal_eval(node.value)
            except ValueError:
                found = f"{target.id} = {ast.unparse(node.value)}"
                raise ValueError(
                    f"the parameters of {notebook} cannot be read: {found}; allowed: plain values, such as 0.5"
                ) from None
    return defaults


def _as_type_of(default: Any, name: str, value: Any) -> Any:
    if isinstance(default, str):
        return str(value)
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            if default is None:
                return value
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if default is None or value is None or type(value) is type(default):
        return value
    raise ValueError(f"parameter {name}: {value!r} is not of type {type(default).__name__}, like {default!r}")


def _run(notebook: Path, partial: Path, values: Mapping[str, Any], attempts: int = 3) -> str | None:
    """Execute into `partial`; the failing cell and its error, or None.

    attempts: to start the kernel. Jupyter looks for free ports before the kernel takes them, and another may be faster.
    """
    logging.getLogger("papermill").setLevel(logging.ERROR)  # it warns of comments; parameters are checked here
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    try:
        # In a thread papermill leaves signals alone, and the kernel can end its work before it ends itself.
        with passed_on_to_children() as stopped, _neutral_jupyter() as kernel, ThreadPoolExecutor(1) as thread:
            folder = notebook.resolve().parent
            thread.submit(
                _with_its_loop_closed,
                papermill.execute_notebook,
                notebook,
                partial,
                values,
                cwd=folder,
                kernel_name=kernel,
                language="python",
                progress_bar=False,
            ).result()
    except PapermillExecutionError as error:
        return f"In [{error.exec_count}]: {error.ename}: {error.evalue}"
    except RuntimeError as error:
        if stopped():  # the kernel ended of it, perhaps before it had begun
            raise StoppedError(f"{notebook.name}: stopped, as asked; the same command executes it again") from None
        if isinstance(error, DeadKernelError):
            return "the kernel died, perhaps for want of memory"
        if attempts == 1 or "died before replying" not in str(error):
            raise
        return _run(notebook, partial, values, attempts - 1)
    return None


def _with_its_loop_closed(call: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    """nbclient makes an event loop for each thread and leaves it open."""
    from nbclient.util import run_sync

    async def loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    try:
        call(*arguments, **options)
    finally:
        run_sync(loop)().close()


@contextmanager
def _neutral_jupyter() -> Iterator[str]:
    """The name of a kernel of this environment, free of the user's settings and without a history to share."""
    with (
        tempfile.TemporaryDirectory() as folder,
        _environment(
            IPYTHONDIR=folder,
            JUPYTER_PATH=folder,
            **({"HOME": folder} if os.path.expanduser("~") == "~" else {}),  # of a user whom the system does not know
            **moved_folders(),  # a kernel works in the notebook's folder, from where `study` must be found too
            PYTHONPATH=os.pathsep.join(filter(None, (str(root()), os.environ.get("PYTHONPATH")))),
        ),
    ):
        settings = Path(folder, "profile_default", "ipython_kernel_config.py")
        settings.parent.mkdir()
        settings.write_text("c.IPKernelApp.log_level = 'ERROR'  # its warnings are not about the notebook\n")
        kernel = Path(folder, "kernels", "study", "kernel.json")
        kernel.parent.mkdir(parents=True)
        command = [*warm.python_m(), "ipykernel_launcher", "-f", "{connection_file}"]
        kernel.write_text(json.dumps({"argv": command, "display_name": "study", "language": "python"}))
        yield kernel.parent.name


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Environment variables with these values, and afterwards with those of before."""
    before = {name: os.environ.pop(name, None) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value

"""The entry of any data set by its name: a published one, your own, or your own that was made from a published one."""

from dataclasses import replace

from dsrl_lib.paths import MADE_FROM, DataError, data_dir
from dsrl_lib.registry import DATASETS, Dataset

OWN = Dataset(
    "dsrl_lib.data.readers.folders:own_frames",
    "dsrl_lib.data.class_tables:own_table",
    DATASETS["camvid"].images,
    test_labels=True,
)
"""Your own data sets: folders of `paths.data_dir()` with a classes.txt. Their number of images is a guess."""


def dataset(name: str) -> Dataset:
    """The entry of a data set; every name that has none is one of your own.

    Your own that was made from a published one has the size of its frames and is bound by its terms. DataError as for
    `origin`.
    """
    if (source := origin(name)) is None:
        return OWN
    entry = DATASETS[source]
    return entry if source == name else replace(OWN, one_size=entry.one_size, withheld=entry.withheld)


def has_test(name: str) -> bool:
    """Whether a data set has a test split with labels, of your own a folder test/; else its `test` is `val`."""
    return dataset(name).test_labels and (name in DATASETS or (data_dir() / name / "test").is_dir())


def origin(name: str) -> str | None:
    """The published data set whose frames and labels a data set has: itself, or what its made_from.txt names.

    None for your own data set without such a file. DataError if the file names no published data set.
    """
    if name in DATASETS:
        return name
    path = data_dir() / name / MADE_FROM
    if not path.is_file():
        return None
    source = path.read_text("utf-8-sig", errors="replace").strip()
    if source not in DATASETS:
        raise DataError(f"{path} names {source!r}; allowed: one of {', '.join(DATASETS)}; or delete the file, and the "
                        "data set has its own classes alone")  # fmt: skip
    return source

"""A figure in words: the alternative text of the pictures of a notebook, from what the figure itself says."""

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation


def described(figure: Figure) -> str:
    """Titles, axes, names of rows or columns and legends of a figure.

    Of its numbers it tells those that stand as text beside each row, and the heights of points that have a name.
    """
    panels = [words for axes in figure.axes if (words := _panel(axes))]
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    names = _once(text.get_text() for legend in legends if legend for text in legend.get_texts())
    parts = [
        figure.get_suptitle(),
        *_once(panels),
        figure.get_supxlabel(),
        figure.get_supylabel(),
        f"legend: {', '.join(names)}" if names else "",
    ]
    return "Figure. " + ". ".join(part.replace("\n", " ") for part in parts if part) + "."


def _panel(axes: Axes) -> str:
    title = axes.get_title() or axes.get_title(loc="left")
    parts = [title, _axis("x axis", axes.get_xlabel(), axes.get_xticklabels())]
    parts.append(_axis("y axis", axes.get_ylabel(), axes.get_yticklabels(), [text.get_text() for text in axes.texts]))
    parts.append(_points(axes))
    return "; ".join(part for part in parts if part)


def _points(axes: Axes) -> str:
    named = [text for text in axes.texts if isinstance(text, Annotation) and text.xycoords == "data"]
    told = (f"{text.get_text()} at {text.xy[1]:.1f}" for text in sorted(named, key=lambda text: text.xy[0]))
    return f"points from left to right: {', '.join(told)}" if named else ""


def _axis(direction: str, label: str, ticks: Iterable, beside: Sequence[str] = ()) -> str:
    """Such as "x axis: epoch" or "y axis: lr, dsrl": names are listed, numbers are not.

    beside: texts of the panel; if there is one for each name, each name is told with its text.
    """
    names = [tick.get_text() for tick in ticks]
    listed = (
        [f"{name} {text}" for name, text in zip(names, beside, strict=False)] if len(beside) == len(names) else names
    )
    told = ", ".join(_once(listed)) if any(name[:1].isalpha() for name in names) else ""
    found = ": ".join(part for part in (label, told) if part)
    return f"{direction}: {found}" if found else ""


def _once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text))

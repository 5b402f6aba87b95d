"""Pictures that show every run and every sample, not only their middle. Needs matplotlib, which nothing else does."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from guid.bench.stats import Repeated
from guiproto.errors import MachineCannot


def ecdf(samples: Mapping[str, Sequence[float]], unit: str, title: str, path: Path) -> None:
    """The share of samples at or below a value, one line per name, on a logarithmic axis.

    Raises MachineCannot without matplotlib, or if the file cannot be written.
    """
    figure, (axes,) = _figure(title, height=5.0)
    for name, values in samples.items():
        if len(values):
            ordered = np.sort(np.asarray(values, float))
            axes.step(ordered, np.arange(1, len(ordered) + 1) / len(ordered), where="post", label=name)
    axes.set_xscale("log")
    axes.set_xlabel(unit)
    axes.set_ylabel("share of samples")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend(loc="lower right")
    _save(figure, path)


def intervals(figures: Mapping[str, Repeated], unit: str, title: str, path: Path, *, log: bool = False) -> None:
    """Median (dot), range (line) and every repetition (tick) of one figure per name.

    Raises MachineCannot as `ecdf` does.
    """
    figure, (axes,) = _figure(title, height=1.5 + 0.4 * len(figures))
    _draw_intervals(axes, figures, unit, log=log)
    _save(figure, path)


def panels(parts: Mapping[str, Mapping[str, Repeated]], title: str, path: Path) -> None:
    """As `intervals`, one below the other, each on a logarithmic axis of its own: at least one of `parts`, by label.

    Raises MachineCannot as `ecdf` does.
    """
    heights = [0.7 + 0.4 * len(figures) for figures in parts.values()]
    figure, axes = _figure(title, height=0.8 + sum(heights), rows=heights)
    for ax, (unit, figures) in zip(axes, parts.items(), strict=True):
        _draw_intervals(ax, figures, unit, log=True)
    _save(figure, path)


def over_time(parts: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], title: str, path: Path) -> None:
    """Values over seconds, one line per name, one picture below the other for each of `parts`, by label.

    Raises MachineCannot as `ecdf` does.
    """
    figure, axes = _figure(title, height=3.0 * len(parts), rows=[1.0] * len(parts))
    for ax, (unit, lines) in zip(axes, parts.items(), strict=True):
        for name, points in lines.items():
            ax.plot([x for x, _ in points], [y for _, y in points], label=name)
        ax.set_ylabel(unit)
        ax.set_ylim(bottom=0)
        ax.grid(visible=True, alpha=0.3)
        ax.legend(loc="upper left", fontsize="small")
    axes[-1].set_xlabel("seconds")
    _save(figure, path)


def _draw_intervals(axes: Any, figures: Mapping[str, Repeated], unit: str, *, log: bool) -> None:
    for row, (name, figure_) in enumerate(figures.items()):
        axes.plot([figure_.low, figure_.high], [row, row], color="tab:blue", linewidth=2)
        axes.plot(figure_.values, [row] * len(figure_.values), "|", color="tab:blue", markersize=10)
        axes.plot([figure_.median], [row], "o", color="tab:blue")
        axes.annotate(
            f"{figure_.median:.3g}" if figure_.median < 1000 else f"{figure_.median:.0f}",
            (figure_.median, row),
            xytext=(0, 7),
            textcoords="offset points",
        )
        axes.axhline(row, color="0.9", zorder=0, label=name)
    axes.set_yticks(range(len(figures)), list(figures))
    axes.set_ylim(len(figures) - 0.5, -0.8)
    if log:
        axes.set_xscale("log")
    else:
        axes.set_xlim(left=0)
    axes.set_xlabel(unit)


def _figure(title: str, height: float, rows: Sequence[float] = (1.0,)) -> tuple[Any, list[Any]]:
    """A figure, and the axes of its parts, which have those shares of the height."""
    try:
        import matplotlib
    except ImportError:
        raise MachineCannot(
            "--plot needs matplotlib", "`make bench` installs it; so does pip install 'odyssey-gui[bench]'"
        ) from None
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(9.0, height), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(len(rows), squeeze=False, gridspec_kw={"height_ratios": rows})[:, 0]
    return figure, list(axes)


def _save(figure: Any, path: Path) -> None:
    try:
        figure.savefig(path, dpi=110, format="png")
    except OSError as error:
        raise MachineCannot(f"cannot write {path}: {error.strerror}", "give another file") from None

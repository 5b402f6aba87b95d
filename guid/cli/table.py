"""Plain tables on standard output."""

from collections.abc import Sequence

from guid.logs import cleaned


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Print aligned columns, or the line `empty` where there are no rows."""
    if not rows:
        print(empty)
        return
    cells = [list(head)] + [["-" if cell is None else _plain(str(cell)) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _plain(cell: str) -> str:
    """Of what a worker says, which a VM may have taken over, nothing controls a terminal or looks like a row."""
    return cleaned(cell).replace("\n", " ")

"""What the command line prints: people get words, tables and bars on a terminal; scripts get one JSON document."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from keepset.errors import KeepsetError
from keepset.stages import Progress, StageResult, facts_line, pace_line

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from keepset.workspace import Workspace

__all__ = ["document", "fail", "failures", "progress", "results", "say", "table", "what_next"]


def say(message: str) -> None:
    """A line for people, on stderr: stdout is for results."""
    print(message, file=sys.stderr, flush=True)


def document(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str, ensure_ascii=False), flush=True)


def fail(error: KeepsetError, *, as_json: bool) -> None:
    if as_json:
        document(error.as_dict())
        return
    say(f"keepset: {error.message}")
    if error.remedy:
        say(f"  → {error.remedy}")


def results(found: Iterable[StageResult], *, as_json: bool, command: str = "") -> list[StageResult]:
    """Print each stage's result as it comes, or all of them as one document at the end.

    ``command``: what to call them, where that is not the stage.
    """
    done = []
    for result in found:
        done.append(result)
        if not as_json:
            print(_line(result, command or result.stage), flush=True)
    if as_json:
        document({"ok": True, "changed": any(r.changed for r in done), "results": [r.as_dict() for r in done]})
    return done


def what_next(ws: Workspace, done: list[StageResult]) -> None:
    """Where the report is, and the next step."""
    from keepset.status import gallery_url
    from keepset.status.next_step import next_step

    found = {k: v for r in done for k, v in r.outputs.items()}
    if report := found.get("report"):
        print(f"\nReport: {ws.root / report}")
    print(f"Next: {next_step(ws, gallery_url(ws))}")


def _line(result: StageResult, name: str) -> str:
    mark = "✓" if result.changed else "·"
    return f"{mark} {name:<10} {result.message}"


def failures(ws: Workspace, stage: str | None = None) -> bool:
    """Print what was not taken, by reason and host, with the remedy. Whether there was anything."""
    from keepset.pipeline.failures import failures as found

    rows = [(f.reason, f.count, ", ".join(f"{host} {n}" for host, n in f.hosts), f.remedy) for f in found(ws, stage)]
    if rows:
        table(f"Not taken ({stage})" if stage else "Not taken", ("reason", "", "hosts with most", "what to do"), rows)
    return bool(rows)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table for people; where it is too wide for whole words, a block of lines per row.

    Cells are plain text: nothing in them is taken as markup.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[str(cell) for cell in row] for row in rows]
    console = Console()
    widths = _widths([columns, *cells], console.width - 2 * (len(columns) - 1))
    if widths is None:
        _blocks(title, columns, cells)
        return
    drawn = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for i, (column, width) in enumerate(zip(columns, widths, strict=True)):
        drawn.add_column(column, no_wrap=i == 0, width=width)
    for line in cells:
        drawn.add_row(*(Text(cell) for cell in line))
    console.print(drawn)


def _widths(lines: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """Columns' widths that break no word, and of the first, whose ids are copied, no cell; None if they do not fit.

    Rich, left to itself, takes no heed of the longest word where it narrows a table, and cuts off what then sticks out.
    """
    from rich.cells import cell_len

    columns = list(zip(*lines, strict=True))
    whole = [max(map(cell_len, column)) for column in columns]
    widths = [max((cell_len(w) for cell in column for w in cell.split()), default=0) for column in columns]
    widths[0] = whole[0]
    spare = room - sum(widths)
    if spare < 0:
        return None
    for _ in range(spare):
        if narrow := [i for i, width in enumerate(widths) if width < whole[i]]:
            widths[min(narrow, key=widths.__getitem__)] += 1
    return widths


def _blocks(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if title:
        print(title)
    for first, *others in rows:
        print(first)
        for name, cell in zip(columns[1:], others, strict=True):
            if cell:
                print(f"    {name}: {cell}" if name else f"    {cell}")


@contextlib.contextmanager
def progress(*, as_json: bool = False) -> Iterator[Progress]:
    """Bars on a terminal; a line now and then where stderr is a file; nothing with ``--json``."""
    from keepset.stages import SILENT

    if as_json:
        yield SILENT
    elif sys.stderr.isatty():
        with _bars() as bars:
            yield _Bars(bars)
    else:
        yield _Lines()


def _bars() -> Bars:
    from rich import progress as rp
    from rich.console import Console
    from rich.text import Text

    class Speed(rp.ProgressColumn):  # rich's own shows it only where the end is unknown
        def render(self, task: rp.Task) -> Text:
            return Text(pace_line(int(task.completed), None, task.elapsed or 0.0))

    class Done(rp.MofNCompleteColumn):  # "0/?" says nothing
        def render(self, task: rp.Task) -> Text:
            return super().render(task) if task.total is not None or task.completed else Text()

    return rp.Progress(
        rp.TextColumn("  {task.description}", markup=False),
        rp.BarColumn(bar_width=28),
        Done(),
        Speed(),
        rp.TimeRemainingColumn(compact=True),
        rp.TextColumn("{task.fields[facts]}", markup=False),
        console=Console(stderr=True),
        transient=True,
    )


class _Bars:
    """Rich bars, one at a time: a stage begins a new one when it begins a new piece of work."""

    def __init__(self, bars: Bars) -> None:
        self.bars = bars
        self.task: Any = None

    def start(self, what: str, total: int | None) -> None:
        if self.task is not None:
            self.bars.remove_task(self.task)
        self.task = self.bars.add_task(what, total=total, facts="")

    def advance(self, n: int = 1, **facts: Any) -> None:
        if self.task is not None:
            shown = {"facts": facts_line(facts)} if facts else {}
            self.bars.update(self.task, advance=n, **shown)  # type: ignore[arg-type]

    def note(self, message: str) -> None:
        self.bars.console.print(f"  {message}", markup=False, highlight=False)


class _Lines:
    """One line when a piece of work begins, then at most one every five seconds."""

    def __init__(self) -> None:
        self.what, self.done, self.last, self.begin = "", 0, 0.0, 0.0
        self.total: int | None = None

    def start(self, what: str, total: int | None) -> None:
        self.what, self.total, self.done = what, total, 0
        self.begin = self.last = time.monotonic()

    def advance(self, n: int = 1, **facts: Any) -> None:
        self.done += n
        if time.monotonic() - self.last >= 5:
            self.last = time.monotonic()
            of = f"/{self.total}" if self.total is not None else ""
            pace = pace_line(self.done, self.total, self.last - self.begin)
            say(f"  {self.what}: {self.done}{of} ({pace}) {facts_line(facts)}".rstrip())

    def note(self, message: str) -> None:
        say(f"  {message}")

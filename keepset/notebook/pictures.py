"""Rows of a table with their pictures: a grid of thumbnails in Jupyter, the table as text elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

from keepset.text import many
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Pictures"]

MOST = 60
"""Pictures in one grid: a notebook keeps them, about 6 kB each."""


class Pictures:
    """``df`` has a row per picture, by sha256; ``title`` says what they are."""

    def __init__(self, workspace: Workspace, df: pd.DataFrame, title: str) -> None:
        self.workspace, self.df, self.title = workspace, df, title

    def __len__(self) -> int:
        return len(self.df)

    def __iter__(self) -> Iterator[Any]:
        """The rows, as named tuples."""
        return iter(self.df.itertuples())

    def __repr__(self) -> str:
        shown = self.df.drop(columns="path").reset_index(drop=True)
        return f"{self.title}: {many(len(self), 'picture')}\n{shown.to_string(max_rows=MOST)}"

    def _repr_html_(self) -> str:
        from keepset.interpret.thumbs import Thumbs

        thumbs = Thumbs(self.workspace)
        tiles = [_tile(thumbs, str(sha), row) for sha, row in self.df.head(MOST).iterrows()]
        rest = f"<p>… and {len(self) - MOST} more, in .df</p>" if len(self) > MOST else ""
        return (
            f"<p><b>{escape(self.title)}</b> ({many(len(self), 'picture')})</p>"
            f'<div style="display:flex;flex-wrap:wrap;gap:12px">{"".join(tiles)}</div>{rest}'
        )


def _tile(thumbs: Any, sha: str, row: Any) -> str:
    uri = thumbs.uri(sha)
    picture = (
        f'<img src="{uri}" alt="" style="width:160px;height:120px;object-fit:contain;background:#8882">'
        if uri
        else f"<div>({escape(thumbs.why_not(sha))})</div>"
    )
    lines = [escape(line) for line in _lines(row)]
    title = escape(str(row["source"]), quote=True)
    return f'<div style="width:160px;font-size:12px" title="{title}">{picture}<br>{"<br>".join(lines)}</div>'


def _lines(row: Any) -> Iterator[str]:
    known = isinstance(row["predicted"], str)
    yield f"{row['label']} → {row['predicted']}" if known else str(row["label"])
    if known:
        yield f"loss {row['loss']:.2f}, {row['split']}"
    if "likeness" in row:
        yield f"likeness {row['likeness']:.2f}"
    if text := row.get("explanation") or row["reasons"].replace("_", " "):
        yield str(text)

"""Where the pages of docs/ are: in a checkout, or as an installation laid them down."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from keepset.errors import ConfigError
from keepset.machine.programs import HOME

__all__ = ["page", "pages"]


def pages() -> dict[str, Path]:
    """The pages by name, without their ending."""
    found = sorted((HOME / "docs").glob("*.md")) or _installed()
    return {path.stem: path for path in found}


def page(name: str) -> str:
    """The text of one page, in Markdown. Raises ``ConfigError`` that lists the pages there are."""
    known = pages()
    if (stem := name.removeprefix("docs/").removesuffix(".md")) not in known:
        raise ConfigError(f"There is no page '{name}'.", f"Pages: {', '.join(known) or 'none installed'}.")
    return known[stem].read_text(encoding="utf-8")


def _installed() -> list[Path]:
    try:
        files = metadata.files("keepset") or []
    except metadata.PackageNotFoundError:
        files = []
    return [Path(str(f.locate())) for f in files if f.match("share/doc/keepset/*.md")]

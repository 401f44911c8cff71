"""The gate's page: one self-contained HTML file (Great Expectations' own pages need a CDN to look right)."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from keepset.files import write_bytes

if TYPE_CHECKING:
    from keepset.gates import GateResult

__all__ = ["write_page"]

_STYLE = """
:root { color-scheme: light dark; --ok: #16794a; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ok: #6fd3a0; --bad: #ff9d94; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 54rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } .ok { color: var(--ok); } .bad { color: var(--bad); }
ul { list-style: none; padding: 0; } li { padding: .6rem 0; border-top: 1px solid #8884; }
small { display: block; opacity: .8; }
"""


def write_page(path: Path, result: GateResult, name: str) -> None:
    verdict = "passed" if result.passed else "did not pass"
    items = "\n".join(
        f'<li><b class="{"ok" if o.passed else "bad"}">{"✓" if o.passed else "✗"}</b> expected {escape(o.expectation)}'
        f"<small>found {escape(o.observed)}{'' if o.passed else ' — ' + escape(o.remedy)}</small></li>"
        for o in sorted(result.outcomes, key=lambda o: o.passed)
    )
    title = f"Gate “{escape(result.gate)}” of {escape(name)} {verdict}"
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1><ul>{items}</ul></html>\n"
    )
    write_bytes(path, page.encode())

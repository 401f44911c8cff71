"""Docs that cannot rot: pages written from the code are current, and what the README names exists."""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@functools.cache
def _pages() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pages: dict[str, str] = module.pages()
    return pages


@pytest.mark.parametrize(
    "name", ["architecture.md", "cli.md", "config.md", "manifests.md", "modules.md", "../keepset/manifests/rows.py"]
)
def test_generated_pages_are_current(name: str) -> None:
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == _pages()[name], "run `make docs`"


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")], ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    dead = [x for x in links if "://" not in x and not (page.parent / x).exists()]
    assert not dead


def test_make_targets_named_in_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"`make ([a-z]+)|^make ([a-z]+)", (ROOT / "README.md").read_text(), re.M))
    assert {a or b for a, b in named} <= targets


def test_the_readme_is_short_and_names_the_test_command() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) < 600
    (command,) = re.findall(r"^exec (.+)$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.M)
    assert f"`{command}`" in text


def test_every_module_says_what_it_is_for() -> None:
    """It is named on docs/modules.md with its first sentence."""
    lines = _pages()["modules.md"].splitlines()
    assert len(lines) > 250
    assert [line for line in lines if line.startswith("| `") and line.endswith("|  |")] == []


def test_the_picture_of_the_way_of_the_data_shows_every_stage() -> None:
    from keepset.pipeline.registry import STAGES

    assert "(images/flow.svg)" in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    picture = (ROOT / "docs" / "images" / "flow.svg").read_text(encoding="utf-8")
    assert [s.name for s in STAGES if f">{s.name}</text>" not in picture] == []


def test_commands_named_in_the_docs_exist() -> None:
    import typer

    from keepset.cli import app

    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    named: dict[str, str] = {}
    for page in [ROOT / "README.md", *ROOT.glob("docs/*.md")]:
        for word in re.findall(r"`keepset ([a-z]+)|^keepset ([a-z]+)", page.read_text(encoding="utf-8"), re.M):
            named.setdefault(word[0] or word[1], page.name)
    assert {k: v for k, v in named.items() if k not in known} == {}

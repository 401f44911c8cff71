"""Texts for people read as a native speaker would write them: the worst patterns stay out of docs, help, forms, pages and errors."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.processes import CHECKOUT

_PER = "class|image|picture|URL|second|minute|step|host|line|file|core|task|shard|start|turn|run|batch|worker|month|revision"
_COUNTED = (
    "urls?|images?|pictures?|requests?|rows?|seconds?|ms|mb|gb|cpu s|sources?|columns?|one|object|processes|"
    "corrections|questions|pixels|numbers|epochs|tasks|workers|once|twice"
)
_BAD = {
    "per, not a": rf"\b({_COUNTED}) an? ({_PER})\b(?!')",
    "is not a, not is no": r"(?<!there )\b(is|was|are) no (?!longer\b|more\b|less\b|better\b|worse\b|such\b|\w+ (left|in use)\b)[a-z]",
    "again, not anew": r"\banew\b", "drop by now": r"\bby now\b", "in plain language": r"\bin words\b",
    "report, error or note, not a word": r"\b(with|without|in) a word\b|\ba word (on|that|about|in)\b",
    "is, not stands or lies": r"\b(stands?|lies?) (in|on|there|already|beside|under|by|as|at|with)\b",
    "name the person": r"\bwhoever\b", "check box or confirmation, not tick": r"\bneeds? a tick\b",
    "a riddle": r"twice is once|survivors? never|the yardstick|\bworth a look\b|somebody else was here|the whole way",
    "default, not left out": r"\. left out: ", "continues": r"\bgoes on where\b",
    "retries": r"\bfurther (try|tries)\b|\bwhat is transient\b|\bask(s|ed)? again for what\b",
    "pydantic's own words": r"\bvalue error,|\binput should\b",
}  # fmt: skip


def _docs() -> Iterator[tuple[str, str]]:
    for page in [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]:
        if page.name == "modules.md":  # docstrings of modules, for those who work on the code
            continue
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
        for paragraph in text.split("\n\n"):
            yield page.name, re.sub(r"`[^`]*`", "`code`", " ".join(paragraph.split()))


def _forms() -> Iterator[tuple[str, str]]:
    """Descriptions of config keys, settings and manifests are in docs; those of Prefect's forms are not."""
    from flows import parameters

    for model in (parameters.ClassForm, parameters.DatasetForm, parameters.Decision):
        for name, field in model.model_fields.items():
            yield f"{model.__name__}.{name}", f"{field.title or ''} {field.description or ''}"


def _said() -> Iterator[tuple[str, str]]:
    """What errors, notes and progress say: every text of the code with a space in it that is not a docstring."""
    for layer in ("keepset", "tasks", "flows", "deployments"):
        for path in sorted((CHECKOUT / layer).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            silent = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}  # docstrings
            silent |= {id(v) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for v in n.values}
            for node in ast.walk(tree):
                if id(node) not in silent and " " in (text := _words(node)).strip():
                    yield f"{path.relative_to(CHECKOUT)}:{node.lineno}", text  # type: ignore[attr-defined]


def _words(node: Any) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "X" for part in node.values)  # type: ignore[misc]
    return ""


def _pages() -> Iterator[tuple[str, str]]:
    for path in sorted((CHECKOUT / "keepset").rglob("*.html")):
        text = re.sub(
            r"\{#.*?#\}|\{%.*?%\}|<script.*?</script>|<style.*?</style>",
            " ",
            path.read_text(encoding="utf-8"),
            flags=re.S,
        )
        for part in re.sub(r"\{\{.*?\}\}", "X", text, flags=re.S).replace("<", "\n<").splitlines():
            yield path.name, " ".join(re.sub(r"<[^>]*>?", " ", part).split())


@pytest.mark.parametrize("texts", [_docs, _forms, _said, _pages], ids=["docs", "forms", "messages", "pages"])
def test_the_worst_patterns_stay_out(texts: Any) -> None:
    found = [
        f"{where}: “{text[max(0, m.start() - 40) : m.end() + 40]}” – {advice}"
        for where, text in texts()
        for advice, pattern in _BAD.items()
        for m in re.finditer(pattern, text, re.I)
    ]
    assert found == [], "\n" + "\n".join(found)


def test_the_patterns_find_what_they_are_for() -> None:
    bad = [
        "Most URLs a class.", "It is no picture, whatever its name says.", "training starts anew", "It is said in words.",
        "Twice is once.", "Needs a tick", "Further tries for what is transient.", "refused with a word that names both",
        "Value error, name it", "A model that stands already", "whoever gives it", "nothing worth a look", "gone by now",
    ]  # fmt: skip
    for text in bad:
        assert any(re.search(p, text, re.I) for p in _BAD.values()), text
    for text in ("There is no model.", "is no longer read", "per image"):
        assert not any(re.search(p, text, re.I) for p in _BAD.values()), text

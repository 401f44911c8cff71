"""Write what comes from the code: cli.md, config.md, manifests.md, modules.md, the table in architecture.md, and the
types of rows in keepset/manifests/rows.py.

``python docs/generate.py`` writes them; ``tests/test_docs.py`` fails when one is stale.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_MADE = "<!-- Written by docs/generate.py from the code; change it there. -->\n"


def pages() -> dict[str, str]:
    """File name -> text."""
    return {
        "architecture.md": _architecture(), "cli.md": _cli(), "config.md": _config(), "manifests.md": _manifests(),
        "modules.md": _modules(), "../keepset/manifests/rows.py": _rows(),
    }  # fmt: skip


# -- docs/cli.md -----------------------------------------------------------------------------------


def _cli() -> str:
    import typer

    import keepset.cli as cli

    root = typer.main.get_command(cli.app)
    exits = (cli.__doc__ or "").split("Exit codes:")[1].strip()
    commands = list(_commands(root, "keepset"))
    uses = Counter(row for _, command in commands for row in _parameters(command))
    common = [row for row, n in uses.items() if n >= _COMMON]
    lines = [
        "# The command line", _MADE,
        "With `--json`, stdout is one JSON document; messages and progress go to stderr. Commands are safe to repeat.", "",
        f"**Exit codes:** {' '.join(exits.split())}", "",
        "**Used by several commands:**", "", *_table(common),
    ]  # fmt: skip
    for path, command in commands:
        lines += _command(path, command, common)
    return "\n".join(lines).rstrip() + "\n"


_COMMON = 3  # a parameter that this many commands share is documented once


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", {})
    if path != "keepset":
        yield path, command
    for name, child in children.items():
        if not child.hidden:  # what Keepset starts itself
            yield from _commands(child, f"{path} {name}")


def _command(path: str, command: Any, common: list[tuple[str, str]]) -> list[str]:
    arguments = [_argument(p) for p in command.params if p.param_type_name == "argument"]
    rows = _parameters(command)
    usage = " ".join([path, *arguments, *(["[OPTIONS]"] if len(rows) > len(arguments) else [])])
    lines = [f"## `{path}`", "", *(" ".join(part.split()) + "\n" for part in (command.help or "").split("\n\n"))]
    lines += ["```", usage, "```", "", *_table([row for row in rows if row not in common])]
    shared = [f"`{name}`" for name, text in rows if (name, text) in common]
    return [*lines, *([f"And {', '.join(shared)}.", ""] if shared else [])]


def _parameters(command: Any) -> list[tuple[str, str]]:
    """Name and help of each argument, then of each option."""
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and "--help" not in p.opts]
    rows = [(a.name.upper(), getattr(a, "help", "") or "") for a in arguments]
    return rows + [(", ".join([*o.opts, *o.secondary_opts]), getattr(o, "help", "") or "") for o in options]


def _table(rows: list[tuple[str, str]]) -> list[str]:
    return ["| | |", "|---|---|", *(f"| `{name}` | {_cell(text)} |" for name, text in rows), ""] if rows else []


def _argument(a: Any) -> str:
    name = (a.metavar or a.name).upper() + ("..." if a.nargs == -1 else "")
    return name if a.required else f"[{name}]"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# -- docs/config.md --------------------------------------------------------------------------------


def _config() -> str:
    from pydantic import BaseModel

    from keepset.config import ClassConfig, RunConfig
    from keepset.settings import Settings

    lines = [
        "# The run config", _MADE,
        "A TOML file. Relative paths are taken from the file's own folder. Every key is checked before anything is",
        "written; an unknown key is an error that guesses what was meant. `keepset new` and `keepset import` write one to start from.", "",
        "```toml", 'name = "bears"', "seed = 42", "", '[classes.black]', 'lists = ["urls_black.txt"]', "",
        "[classes.teddy]", 'lists = ["urls_teddy.csv"]', "",
        "[train]", "epochs = 2", "```", "",
    ]  # fmt: skip
    top = {n: f for n, f in RunConfig.model_fields.items() if not _is_section(f.annotation) and n != "classes"}
    lines += ["## Top level", "", *_fields(top), "## `[classes.NAME]`", "", *_fields(ClassConfig.model_fields)]
    for name, field in RunConfig.model_fields.items():
        if _is_section(field.annotation):
            section: type[BaseModel] = field.annotation  # type: ignore[assignment]
            lines += [f"## `[{field.alias or name}]`", "", *_fields(section.model_fields)]
    lines += [
        "## Machine settings",
        "",
        "Where and how fast a run goes is not the run's own fact: these come from environment variables.",
        "",
        *_fields({f"KEEPSET_{n.upper()}": f for n, f in Settings.model_fields.items()}),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _is_section(annotation: Any) -> bool:
    from pydantic import BaseModel

    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _fields(fields: dict[str, Any]) -> list[str]:
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for name, field in fields.items():
        lines.append(f"| `{field.alias or name}` | {_default(field)} | {_cell(field.description or '')} |")
    return [*lines, ""]


def _default(field: Any) -> str:
    if field.is_required():
        return "(required)"
    if field.default_factory is not None:
        return "(by the machine)" if field.default_factory is not dict else "`{}`"
    value = field.default
    if value is None:
        return "(none)"
    return f"`{list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value!r}`"


# -- docs/manifests.md -----------------------------------------------------------------------------


def _manifests() -> str:
    from keepset.manifests.schemas import SCHEMA_VERSION, SCHEMAS

    lines = [
        "# The manifests",
        _MADE,
        f"Parquet files between the stages; schema version {SCHEMA_VERSION}. The file's metadata holds, under the key",
        "`keepset`, the stage, its fingerprint, the parents' content hashes, the run config and the content hash of",
        "the stable columns. Columns marked *volatile* (clocks, durations, attempts) do not count towards that hash.",
        "",
    ]
    for schema in SCHEMAS.values():
        lines += [f"## {schema.name}", "", schema.doc, "", f"Key: `{', '.join(schema.key)}`", ""]
        lines += ["| column | type | may be empty | meaning |", "|---|---|---|---|"]
        for f in schema.arrow:
            volatile = " *volatile*" if f.name not in schema.stable_columns else ""
            lines.append(
                f"| `{f.name}` | {_type(f.type)} | {'yes' if f.nullable else ''} | {_cell(schema.doc_of(f.name))}{volatile} |"
            )
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _type(kind: Any) -> str:
    return str(kind).replace("list<element: ", "list<").replace("list<item: ", "list<")


# -- keepset/manifests/rows.py -------------------------------------------------------------------------------


def _rows() -> str:
    """A TypedDict per manifest."""
    from keepset.manifests.schemas import SCHEMAS

    lines = [
        '"""The type of a row of each manifest. Written by docs/generate.py from ``keepset.manifests.schemas``; change it there."""', "",
        "from __future__ import annotations", "", "from datetime import datetime", "from typing import TypedDict", "",
        f"__all__ = [{', '.join(sorted(repr(s.row_type) for s in SCHEMAS.values()))}]".replace("'", '"'),
    ]  # fmt: skip
    for schema in SCHEMAS.values():
        lines += ["", "", f"class {schema.row_type}(TypedDict):"]
        lines += [f"    {f.name}: {_python(f.type)}{' | None' if f.nullable else ''}" for f in schema.arrow]
    return _formatted("\n".join(lines) + "\n")


def _python(kind: Any) -> str:
    import pyarrow as pa

    if pa.types.is_list(kind):
        return f"list[{_python(kind.value_type)}]"
    return {"string": "str", "bool": "bool", "float": "float", "double": "float"}.get(
        str(kind), "datetime" if pa.types.is_timestamp(kind) else "int"
    )


def _formatted(code: str) -> str:
    import subprocess
    import sys

    ruff = [sys.executable, "-m", "ruff", "format", "--stdin-filename", "rows.py", "-"]
    return subprocess.run(ruff, input=code, capture_output=True, text=True, check=True, cwd=HERE.parent).stdout


# -- docs/architecture.md and docs/modules.md ------------------------------------------------------


def _architecture() -> str:
    """The page as it is, with the table of stages as the code has it now."""
    begin, end = "<!-- stages: written by docs/generate.py -->\n", "<!-- end of stages -->"
    head, _, rest = (HERE / "architecture.md").read_text(encoding="utf-8").partition(begin)
    return f"{head}{begin}\n{_stages()}\n\n{end}{rest.partition(end)[2]}"


def _stages() -> str:
    from keepset.pipeline.registry import STAGES

    lines = ["| stage | does | reads | writes | config | gate | runs in | code |", "|---|---|---|---|---|---|---|---|"]
    for s in STAGES:
        cells = [
            f"**{s.name}**", s.help.partition("\n")[0], _codes(s.reads), _codes((*s.writes, *filter(None, [s.leaves]))),
            _codes(s.config or ()), _codes(filter(None, [s.gate])), "shards" if s.shards else "one piece",
            _codes([s.load().__module__]),  # type: ignore[attr-defined]
        ]  # fmt: skip
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines)


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _modules() -> str:
    """Every module of the four layers in its package, with the first sentence of its docstring."""
    lines = ["# Where everything is", _MADE, "Every module, by package, with what it is for.", ""]
    found = [p for layer in ("keepset", "tasks", "flows", "deployments") for p in (HERE.parent / layer).rglob("*.py")]
    for folder in sorted({p.parent for p in found}, key=lambda f: f.parts):
        rows = [(p.name, _first_sentence(p)) for p in sorted(found) if p.parent == folder]
        lines += [f"## {folder.relative_to(HERE.parent)}/", "", dict(rows).get("__init__.py", ""), ""]
        modules = [f"| `{name}` | {_cell(words)} |" for name, words in rows if name != "__init__.py"]
        lines += ["| module | |", "|---|---|", *modules, ""] if modules else []
    return "\n".join(lines).rstrip() + "\n"


def _first_sentence(path: Path) -> str:
    import ast
    import re

    found = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    words = " ".join(found.split("\n\n")[0].split())
    return re.split(r"(?<=[.!?])\s+(?=[A-Z`*])", words)[0]


if __name__ == "__main__":
    for name, text in pages().items():
        (HERE / name).write_text(text, encoding="utf-8")
        print(f"wrote docs/{name}")

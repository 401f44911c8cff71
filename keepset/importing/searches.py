"""A run config for pictures that nobody has yet: a search per class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from keepset.config import check_config
from keepset.importing import ARCH_LINE, toml_string
from keepset.importing.languages import OtherNames, names_in

__all__ = ["search_config"]

_HEAD = """\
# A Keepset run config. `keepset docs config` lists every key.
name = {name}
seed = 42                                 # same seed, same split, same model

[scrape]
max_per_class = 200                       # URLs per class
contact = {contact:<31} # your e-mail address or web page: Wikimedia asks for it

# One table per class. A source takes several texts, and takes turns with the others: more texts give more variety.
# inaturalist is for plants and animals, by their English or scientific name: remove its # where that suits.
# Other sources: gbif, duckduckgo, lists of URLs, pages, your own folders (`keepset docs collecting`).
"""

_CLASS = """\
[classes.{name}.search]
{from_where}openverse = [{texts}]
wikimedia = [{texts}]
# inaturalist = [{name}]
"""

_TAIL = f"""\
[split]
valid = 0.2

[train]
{ARCH_LINE}
"""


def search_config(
    path: Path, classes: Sequence[str], *, languages: Sequence[str] = (), contact: str = ""
) -> tuple[str, list[str]]:
    """The run config as TOML, for the file ``path``, and notes for the person: each class is searched for by its name.

    With ``languages`` (codes such as de), by its names in those as well, as Wikidata gives them. Raises ``ConfigError`` for
    classes that no run config takes, such as two names for one class, and ``SourceError`` if Wikidata does not answer.
    """
    asked = [{"name": c, "search": {"openverse": c}} for c in classes]
    raw = {"classes": asked, "scrape": {"contact": contact}}
    config = check_config(raw, base=path.parent, where="A config with these classes")
    others = names_in(languages, config) if languages else {}
    head = _HEAD.format(name=toml_string(path.stem[:100]), contact=toml_string(contact))
    tables = [_class(c.name, others.get(c.name)) for c in config.classes]
    return "\n".join([head, *tables, _TAIL]), _notes([c.name for c in config.classes], others) if languages else []


def _class(name: str, other: OtherNames | None) -> str:
    texts = dict.fromkeys([name, *(other.names.values() if other else ())])
    where = (
        f"# Wikidata takes it for {other.item}, {other.description or 'which it does not describe'}.\n" if other else ""
    )
    return _CLASS.format(name=toml_string(name), texts=", ".join(map(toml_string, texts)), from_where=where)


def _notes(classes: Sequence[str], others: Mapping[str, OtherNames]) -> list[str]:
    return [
        f"{c}: {', '.join(others[c].names.values()) or 'no other name of its own'} ({others[c].description or others[c].item})"
        if c in others
        else f"{c}: Wikidata does not know it; add texts by hand"
        for c in classes
    ]

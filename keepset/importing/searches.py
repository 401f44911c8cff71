"""A run config for pictures that nobody has yet: a search per class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keepset.config import check_config
from keepset.importing import ARCH_LINE, toml_string

__all__ = ["search_config"]

_HEAD = """\
# A Keepset run config. `keepset docs config` lists every key.
name = {name}
seed = 42                                 # same seed, same split, same model

[scrape]
max_per_class = 200                       # URLs per class
contact = ""                              # your e-mail address or web page: Wikimedia asks for it

# One table per class. A source takes several texts, and takes turns with the others: more texts give more variety.
# inaturalist is for plants and animals, by their English or scientific name: remove its # where that suits.
# Other sources: gbif, duckduckgo, lists of URLs, pages, your own folders (`keepset docs collecting`).
"""

_CLASS = """\
[classes.{name}.search]
openverse = [{name}]
wikimedia = [{name}]
# inaturalist = [{name}]
"""

_TAIL = f"""\
[split]
valid = 0.2

[train]
{ARCH_LINE}
"""


def search_config(path: Path, classes: Sequence[str]) -> str:
    """The run config as TOML, for the file ``path``: each class is searched for by its name.

    Raises ``ConfigError`` for classes that no run config takes, such as two names for one class.
    """
    asked = [{"name": c, "search": {"openverse": c}} for c in classes]
    check_config({"classes": asked}, base=path.parent, where="A config with these classes")
    tables = [_CLASS.format(name=toml_string(c)) for c in classes]
    return "\n".join([_HEAD.format(name=toml_string(path.stem[:100])), *tables, _TAIL])

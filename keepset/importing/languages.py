"""The names of classes in other languages, asked of Wikidata: a search in another language brings other pictures."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from keepset.config import RunConfig
from keepset.errors import ConfigError, SourceError
from keepset.scrape.web import Web, dig, items
from keepset.sources import WIKIDATA
from keepset.text import label_of

__all__ = ["OtherNames", "names_in"]

_CODE = re.compile(r"[a-z]{2,3}(-[a-z]{2,8})*")
_ITEM = re.compile(r"Q\d+")
_DISAMBIGUATION = "disambiguation page"


@dataclass(frozen=True)
class OtherNames:
    """What Wikidata takes a class for (``item``, such as Q1234, and its ``description``), and its names by language."""

    item: str
    description: str
    names: Mapping[str, str]


def names_in(languages: Sequence[str], config: RunConfig, base: str = WIKIDATA.home) -> dict[str, OtherNames]:
    """Of each class of ``config`` that Wikidata knows; class names may be in English or in one of ``languages``.

    A name that two classes share is given to neither. Raises ``ConfigError`` for what is no language code, and
    ``SourceError`` if Wikidata does not answer.
    """
    for code in languages:
        if not _CODE.fullmatch(code):
            raise ConfigError(f"'{code}' is not a language code.", "Write codes such as de, es or pt-br.")
    if not config.scrape.contact:
        raise ConfigError(
            "Wikidata wants to know whom to write to.", "Add --contact with your e-mail address or web page."
        )
    try:
        with tempfile.TemporaryDirectory() as scratch, Web(config, Path(scratch)) as web:
            api = base + WIKIDATA.path
            found = {c.name: _class(c.name, ["en", *languages], languages, web, api) for c in config.classes}
    except SourceError as e:
        raise SourceError(
            f"The names in other languages could not be looked up. {e.message}",
            "Check this machine's network (behind a proxy: set HTTPS_PROXY), or try again later. Without --languages, the "
            "config is written with the class names alone; add names in other languages to it by hand.",
        ) from e
    return _distinct({name: other for name, other in found.items() if other})


def _class(name: str, spoken: Sequence[str], wanted: Sequence[str], web: Web, api: str) -> OtherNames | None:
    for language in dict.fromkeys(spoken):
        answer = _asked(web, api, action="wbsearchentities", search=name, language=language, type="item", limit=5)
        for hit in items(answer, "search"):
            item, described = str(dig(hit, "id")), label_of(str(dig(hit, "description") or ""))
            if _ITEM.fullmatch(item) and _DISAMBIGUATION not in described:
                return OtherNames(item, described, _labels(item, wanted, web, api))
    return None


def _labels(item: str, wanted: Sequence[str], web: Web, api: str) -> dict[str, str]:
    answer = _asked(web, api, action="wbgetentities", ids=item, props="labels", languages="|".join(wanted))
    found = {code: dig(answer, "entities", item, "labels", code, "value") for code in wanted}
    return {code: label_of(text) for code, text in found.items() if isinstance(text, str) and label_of(text)}


def _asked(web: Web, api: str, **params: object) -> dict[str, object]:
    answer = web.json(api, format="json", formatversion=2, **params)
    if "error" in answer:  # with HTTP 200
        raise SourceError(f"Wikidata refuses: {dig(answer, 'error', 'info') or answer['error']}.", "")
    return answer


def _distinct(found: dict[str, OtherNames]) -> dict[str, OtherNames]:
    """Each picture has one class only, so no text may be searched for two."""
    taken = Counter(name.casefold() for name in found)
    taken.update(text for o in found.values() for text in {t.casefold() for t in o.names.values()})
    own = {name: {k: t for k, t in o.names.items() if _is_own(t, name, taken)} for name, o in found.items()}
    return {name: OtherNames(o.item, o.description, own[name]) for name, o in found.items()}


def _is_own(text: str, name: str, taken: Counter[str]) -> bool:
    return text.casefold() != name.casefold() and taken[text.casefold()] == 1

"""What was taken down (``keepset remove``) and must never be fetched again: digests in the audit log, no names.

A takedown writes one row of the audit log before it touches anything, so that every machine which opens the workspace,
also on an object store, refuses the same files, addresses, creators and licences from then on.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keepset.text import label_of

if TYPE_CHECKING:
    from keepset.workspace import Workspace

__all__ = ["BlockList", "digest", "learnt", "masked"]


def digest(text: str) -> str:
    """sha256, as 64 hex digits, of a name or address as Keepset compares it: case and spaces of a name do not matter."""
    plain = text.strip() if "://" in text else label_of(text).casefold()
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()


def masked(url: str) -> str:
    """The stand-in for an address that was taken down, as manifests hold it."""
    return url if url.startswith(_MASK) else _MASK + digest(url)[:16]


_MASK = "removed:"


def learnt(ws: Workspace) -> dict[str, str]:
    """The models that learnt from pictures which were taken down: model id -> id of the last such takedown."""
    return {m: str(r["what"]["id"]) for r in ws.audited("certificate") for m in r["what"]["models"]}


@dataclass(frozen=True)
class BlockList:
    """Digests of addresses and creators, hashes of files, and licence codes that were taken down."""

    sha256: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()
    creators: frozenset[str] = frozenset()
    licenses: frozenset[str] = frozenset()

    @classmethod
    def of(cls, ws: Workspace) -> BlockList:
        rows = [r["what"] for r in ws.audited("takedown")]
        return cls(
            frozenset(s for w in rows for s in w["sha256"]),
            frozenset(u for w in rows for u in w["urls"]),
            frozenset(w["digest"] for w in rows if w["by"] == "creator"),
            frozenset(w["license"] for w in rows if w["by"] == "license"),
        )

    def refuses(self, url: str, creator: Any = None, license_code: Any = None) -> bool:
        """Whether a line of a source must not be taken; ``license_code`` as ``keepset.scrape.license.code`` writes it, of which
        a blocked licence without a version means all versions. A file's hash is only known after its download."""
        if self.urls and digest(url) in self.urls:
            return True
        if self.creators and creator and digest(str(creator)) in self.creators:
            return True
        if not self.licenses or not license_code:
            return False
        return not self.licenses.isdisjoint((license_code, re.sub(r"-\d\.\d$", "", license_code)))

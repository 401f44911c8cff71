"""Locks on the object store: an object says who holds the lock, and its holder renews it.

No machine's clock is trusted: a lease's age is measured by the store's own clock. One that was not renewed for
``STALE_S`` is taken over; so is at once one of a dead process of this machine, whose local lock is free. Every change
is conditional on the content seen before, so of several takers exactly one gets it.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from keepset.errors import WorkspaceBusy, WorkspaceError
from keepset.storage.bucket import Conflict, Facts
from keepset.storage.copies import scratch_of
from keepset.storage.paths import StoredPath

if TYPE_CHECKING:
    from obstore import UpdateVersion

__all__ = ["lease"]

RENEW_S = 15.0
STALE_S = 60.0
_ASK_S = 1.0


@contextlib.contextmanager
def lease(root: StoredPath, name: str, *, wait: bool, note: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock ``name`` of the workspace at ``root``. The caller holds this machine's own lock of that name.

    ``note`` is told, once, who holds it and is waited for. Raises ``WorkspaceBusy`` if it is held and ``wait`` is false, or if the lease was lost while it was held, because
    the machine slept or was cut off for longer than ``STALE_S``.
    """
    held = _Lease(root / "locks" / f"{name}.lock", _machine(root))
    while not held.take():
        if not wait:
            raise WorkspaceBusy(
                f"Another run is working on '{name}' in {root}: {held.holder}.",
                "Wait for it to end (`keepset status` shows it), or use another workspace. A machine that died is "
                f"taken for dead after {STALE_S:.0f} s.",
            )
        if note is not None:
            note(f"Another run is working on '{name}' in {root}: {held.holder}; waiting for it to end.")
            note = None
        time.sleep(_ASK_S)
    held.renew_by_itself()
    try:
        yield
    finally:
        lost = held.release()
    if lost:
        raise WorkspaceBusy(
            f"The lock '{name}' of {root} was lost while this run held it: it was cut off from the store for more than "
            f"{STALE_S:.0f} s, and another run took over.",
            "Run the same command again: what both of them finished is kept.",
        )


class _Lease:
    def __init__(self, path: StoredPath, machine: str) -> None:
        self.path, self.machine = path, machine
        self.holder, self.lost = "", False
        self.version: UpdateVersion | None = None
        self._done = threading.Event()
        self._renewing: threading.Thread | None = None

    def take(self) -> bool:
        """One try. If it fails, ``holder`` names who has it."""
        try:
            raw, facts = self.path.bucket.read(self.path.key)
        except FileNotFoundError:
            self.version = None
        else:
            self.version, standing = facts.version, json.loads(raw)
            # One of this machine is nobody's: the caller holds the local lock, so the process that wrote it is dead.
            if standing["held"] and standing["machine"] != self.machine and (age := self._age_s(facts)) < STALE_S:
                self.holder = f"process {standing['pid']} on {standing['host']}, seen {age:.0f} s ago"
                return False
        try:
            self._write(held=True)
        except Conflict:
            self.holder = "another process was faster"
            return False
        return True

    def renew_by_itself(self) -> None:
        self._renewing = threading.Thread(target=self._renew, name=f"lease {self.path.name}", daemon=True)
        self._renewing.start()

    def release(self) -> bool:
        """Give it back; True if it was lost before."""
        self._done.set()
        if self._renewing:
            self._renewing.join()
        if not self.lost:
            try:
                self._write(held=False)  # not deleted: not every store deletes on a condition
            except Conflict:
                self.lost = True
            except WorkspaceError:
                pass  # it is stale in a minute
        return self.lost

    def _renew(self) -> None:
        while not self._done.wait(RENEW_S):
            try:
                self._write(held=True)
            except Conflict:
                self.lost = True
                return
            except WorkspaceError:  # the store is away; the next turn asks again
                continue

    def _write(self, *, held: bool) -> None:
        # A version may be a hash of the content: without a nonce a renewal would leave it as it was, and who has just
        # read a stale lease could take over one that was renewed.
        said = {
            "held": held, "machine": self.machine, "host": platform.node(), "pid": os.getpid(),
            "nonce": secrets.token_hex(8),
        }  # fmt: skip
        self.version = self.path.bucket.swap(self.path.key, json.dumps(said).encode(), expected=self.version)

    def _age_s(self, facts: Facts) -> float:
        """By the store's clock, which the time of change of an object shows that was written a moment ago."""
        clock = self.path.with_name(f"{self.machine}.clock")
        clock.bucket.put(clock.key, b"")
        now = clock.facts()
        return (now.modified - facts.modified).total_seconds() if now else 0.0


def _machine(root: StoredPath) -> str:
    """What this machine's cache folder calls itself: whoever shares it shares its local locks."""
    path: Path = scratch_of(root) / "machine"
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError), path.open("x", encoding="ascii") as f:
        f.write(secrets.token_hex(8))
    return path.read_text(encoding="ascii")

"""The workspace: one folder that holds everything known about one data set. The state of record.

The folder is on disk, or under a prefix of a bucket (``s3://bucket/prefix``, ``docs/storage.md``).

keepset.json                    what this folder is: schema version, id, name
config.json                     the run config in force
config-file.json                the file it was read from
manifests/                      urls, downloads, images (.parquet)
blobs/ab/<sha256>               downloaded files, content-addressed, never changed
thumbs/ab/<sha256>.jpg          256-px re-encoded pictures that are safe to serve
datasets/000001.parquet         revisions of the data set; the highest number is the current one
models/<model id>/              model.json, weights.safetensors, predictions.parquet, ...
models/promoted.json            the model in use
reports/<model id>/             report.html, report.json
batches/<batch id>/             batch.json, candidates.parquet, decisions.jsonl, approval.json
audit.jsonl                     who changed what, when and why; only ever appended to
journal/  cache/  locks/  logs/ what may be deleted: resume journals, decoded pixels, features. Of a workspace on a
                                bucket these are in a folder of each machine (``scratch``)
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from keepset import manifests
from keepset.config import RunConfig, saved_config
from keepset.errors import ConfigError, DamagedFile, WorkspaceBusy, WorkspaceError, WorkspaceNotWritable
from keepset.files import append_line, read_json, read_rows, refusals, write_json
from keepset.machine.programs import spell
from keepset.manifests.schemas import SCHEMA_VERSION, check_version
from keepset.reasons import REMEDIES
from keepset.storage import StoredPath, locate, scratch
from keepset.storage.carrying import Held
from keepset.storage.copies import forget_all_of_another
from keepset.storage.localfiles import absolute, config_path, path_of
from keepset.text import without_surrogates

__all__ = ["SHA256", "Workspace"]

SHA256 = re.compile(r"[0-9a-f]{64}")
_REVISION = re.compile(r"(\d{6})\.parquet")


@dataclass(frozen=True)
class Workspace:
    """Paths and state of one workspace. Make one with ``Workspace.open`` or ``Workspace.create``."""

    root: Path
    id: str
    name: str

    # -- opening -----------------------------------------------------------------------------------

    @classmethod
    def create(cls, root: Path, name: str) -> Workspace:
        """Open the workspace at ``root``, making it if the folder is missing or empty.

        Raises ``WorkspaceError`` if the folder holds something else, ``WorkspaceNotWritable`` or
        ``WorkspaceVersionError``.
        """
        root = locate(root)
        if without_surrogates(str(root)) != str(root):
            raise WorkspaceError(
                f"{without_surrogates(str(root))} is not a name in UTF-8, which Parquet and SQLite need.",
                "Choose another folder as --workspace.",
            )
        if (root / "keepset.json").exists():
            return cls.open(root)
        if root.exists() and not root.is_dir():
            raise WorkspaceError(f"{root} is a file.", "Choose a folder as --workspace.")
        if root.is_dir() and any(p for p in root.iterdir() if p.name not in _HARMLESS):
            raise WorkspaceError(
                f"{root} is not empty and is not a Keepset workspace.",
                "Choose an empty or a new folder as --workspace.",
            )
        marker = {"schema_version": SCHEMA_VERSION, "id": secrets.token_hex(8), "name": name}
        with contextlib.suppress(FileExistsError):  # another process made it a moment ago
            write_json(root / "keepset.json", marker, exclusive=True)
        return cls.open(root)

    @classmethod
    def open(cls, root: Path) -> Workspace:
        """Open an existing workspace. Raises ``WorkspaceError`` or ``WorkspaceVersionError``."""
        root = locate(root)
        try:
            marker = read_json(root / "keepset.json")
            version, found = marker["schema_version"], cls(root, marker["id"], marker["name"])
        except FileNotFoundError as e:
            raise WorkspaceError(
                f"{root} is not a Keepset workspace.",
                "Name the folder of a workspace with -w, or give `keepset run` a run config or a folder of pictures.",
            ) from e
        except NotADirectoryError as e:
            raise WorkspaceError(f"{root} is a file.", "Choose a folder as --workspace.") from e
        except (KeyError, TypeError) as e:
            raise WorkspaceError(f"{root / 'keepset.json'} is damaged: {e}.", "Restore it from a backup.") from e
        except PermissionError as e:
            raise WorkspaceNotWritable(f"{root} cannot be read.", "Give this user access to it.") from e
        check_version(f"The workspace {root}", version)
        if isinstance(root, StoredPath):
            forget_all_of_another(root, found.id)
        return found

    # -- the run config ----------------------------------------------------------------------------

    def save_config(self, config: RunConfig, file: Path | None = None) -> None:
        """Make ``config``, read from ``file``, the one in force. Written only when it differs."""
        found = {"config.json": config.as_dict()}
        if file is not None:
            found["config-file.json"] = {"path": config_path(absolute(file))}
        for name, new in found.items():
            with contextlib.suppress(FileNotFoundError, DamagedFile):
                if read_json(self.root / name) == new:
                    continue
            write_json(self.root / name, new)

    def config(self) -> RunConfig:
        """The run config in force. Raises ``ConfigError`` if none was saved yet."""
        try:
            return saved_config(read_json(self.root / "config.json"), where=str(self.root / "config.json"))
        except FileNotFoundError as e:
            raise ConfigError(
                f"The workspace {self.root} has no run config yet.",
                f"Start it with one: {spell('keepset', 'run', self.config_file(), '-w', self.root)}",
            ) from e
        except DamagedFile as e:
            raise ConfigError(
                e.message, f"Give the run config again: {spell('keepset', 'run', self.config_file(), '-w', self.root)}"
            ) from e

    def config_file(self) -> Path:
        """The run config's file: the one that was given last, else the one that this workspace is named after
        (``keepset.finding.workspace_for``)."""
        with contextlib.suppress(FileNotFoundError, DamagedFile, KeyError, TypeError):
            return path_of(read_json(self.root / "config-file.json")["path"])
        name = f"{self.root.name.removesuffix('-workspace')}.toml"
        return Path(name) if isinstance(self.root, StoredPath) else self.root.with_name(name)

    # -- paths -------------------------------------------------------------------------------------

    @property
    def urls(self) -> Path:
        return self.stage_manifests["urls"]

    @property
    def downloads(self) -> Path:
        return self.stage_manifests["downloads"]

    @property
    def images(self) -> Path:
        return self.stage_manifests["images"]

    @property
    def stage_manifests(self) -> dict[str, Path]:
        """The manifests of the stages before the split, by name, in their order: each row is taken, or says why not."""
        return {name: self.root / "manifests" / f"{name}.parquet" for name in REMEDIES}

    @property
    def scratch(self) -> Path:
        """A local folder for what may be deleted, and for what belongs to this machine: the root itself on disk."""
        return scratch(self.root)

    @property
    def cache(self) -> Path:
        return self.scratch / "cache"

    @property
    def journal(self) -> Path:
        return self.scratch / "journal"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def batches(self) -> Path:
        return self.root / "batches"

    def blob(self, sha256: str) -> Path:
        return self.root / f"blobs/{_checked(sha256)[:2]}/{sha256}"

    def thumb(self, sha256: str) -> Path:
        return self.root / f"thumbs/{_checked(sha256)[:2]}/{sha256}.jpg"

    def held_blobs(self) -> Held:
        """Which pictures there are now; on a bucket one listing answers for all."""
        return Held(self.root / "blobs", self.blob)

    def held_thumbs(self) -> Held:
        return Held(self.root / "thumbs", self.thumb)

    # -- revisions of the data set -----------------------------------------------------------------

    def dataset(self, revision: int) -> Path:
        return self.root / "datasets" / f"{revision:06d}.parquet"

    def revisions(self) -> list[int]:
        """Numbers of all revisions, ascending; the last one is the current one."""
        folder = self.root / "datasets"
        names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
        return sorted(int(m[1]) for n in names if (m := _REVISION.fullmatch(n)))

    def newest(self) -> Path:
        """The file of the current revision; before the first, where that will be."""
        return self.dataset((self.revisions() or [1])[-1])

    def current_dataset(self) -> manifests.Manifest:
        """The current revision; its number is ``header.extra['revision']``. Raises ``ManifestMissing``."""
        return manifests.read(self.newest(), "dataset")

    # -- the model in use --------------------------------------------------------------------------

    def promoted(self) -> str | None:
        """Id of the model in use, or None before the first training."""
        try:
            return str(read_json(self.models / "promoted.json")["model_id"])
        except FileNotFoundError:
            return None

    def promote(self, model_id: str, why: str, *, who: str = "keepset") -> None:
        """Make ``model_id`` the model in use; the old one stays on disk. Audited; twice is once, kills included."""
        old = self.promoted()
        if old == model_id:
            return
        what = {"model_id": model_id, "before": old}
        told = [r["what"] for r in self.audited("promote")]
        if told[-1:] != [what]:  # the row comes first: a kill between the two writes costs none
            self.audit("promote", who=who, what=what, why=why)
        write_json(self.models / "promoted.json", {"model_id": model_id, "why": why, "before": old})

    # -- audit log ---------------------------------------------------------------------------------

    def audit(self, action: str, *, who: str, what: dict[str, Any], why: str = "") -> None:
        """Append one row to the audit log: who, when, what, why."""
        row = {"at": datetime.now(UTC).isoformat(), "action": action, "who": who, "what": what, "why": why}
        append_line(self.root / "audit.jsonl", json.dumps(row, sort_keys=True))

    def audit_log(self) -> list[dict[str, Any]]:
        return read_rows(self.root / "audit.jsonl")

    def audited(self, *actions: str) -> list[dict[str, Any]]:
        """The rows of the audit log that have one of these actions, in order."""
        return [r for r in self.audit_log() if r["action"] in actions]

    def purged(self) -> frozenset[str]:
        """The pictures that were ever deleted for good, or taken down: none of them is taken in again."""
        return frozenset(sha for r in self.audited("purge", "takedown") for sha in r["what"]["sha256"])

    # -- locks -------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def lock(self, name: str, *, wait: bool = True, note: Callable[[str], None] | None = None) -> Iterator[None]:
        """Hold the lock ``name`` of this workspace. The kernel frees it when the process dies.

        ``note`` is told, once, that another process holds it and is waited for. On a bucket a lease is held too, for
        other machines (``keepset.storage.leases``). Raises ``WorkspaceBusy`` at once if ``wait`` is false and another
        process holds it, or ``WorkspaceNotWritable``.
        """
        path = self.scratch / "locks" / f"{name}.lock"
        with refusals(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            f = path.open("a+")
        with f:
            if not _locked(f):
                busy = f"Another run is working on '{name}' in {self.root}"
                if not wait:
                    raise WorkspaceBusy(
                        f"{busy}.", "Wait for it to end (`keepset status` shows it), or use another workspace."
                    )
                if note is not None:
                    note(f"{busy}; waiting for it to end.")
                fcntl.flock(f, fcntl.LOCK_EX)
            if not isinstance(self.root, StoredPath):
                yield
                return
            from keepset.storage.leases import lease

            with lease(self.root, name, wait=wait, note=note):
                yield

    def is_locked(self, name: str) -> bool:
        """Whether a process on this machine holds the lock ``name`` now."""
        try:
            with (self.scratch / "locks" / f"{name}.lock").open() as f:
                fcntl.flock(f, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False  # nobody has ever held it, or it cannot be read
        return False

    def check_writable(self) -> None:
        """Raise ``WorkspaceNotWritable`` now rather than in the middle of a run."""
        if isinstance(self.root, StoredPath):
            self.root.bucket.probe((self.root / "locks" / "probe").key)
        elif not os.access(self.root, os.W_OK | os.X_OK):
            raise WorkspaceNotWritable(
                f"{self.root} is not writable.", "Give this user write access, or choose another --workspace."
            )


_HARMLESS = {".gitignore", "README.md", ".DS_Store", "lost+found", "locks", "logs"}


def _locked(file: IO[str]) -> bool:
    """Lock it, or find that another process holds it: for longer than ``is_locked`` does, which locks it to look."""
    for _ in range(3):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.01)
    return False


def _checked(sha256: str) -> str:
    if not SHA256.fullmatch(sha256):
        raise ValueError(f"not a sha256 in hex: {sha256[:80]!r}")
    return sha256

"""The one error tree.

* KeepsetError                     base: every message says what happened, to what, and what to do next
  * ConfigError                    the run config is wrong (unknown key, missing list, one class ...)
  * WorkspaceError                 the workspace cannot be used
    * WorkspaceNotWritable         no permission, or the disk is read-only or full
    * WorkspaceVersionError        written by another schema version
    * WorkspaceBusy                another run holds the lock of this data set
    * WorkspaceUnreachable         the object store that it is on does not answer
    * DamagedFile                  a file of the workspace is not what was written
  * ManifestError                  a manifest is missing, damaged, or not of its schema
    * ManifestMissing              the stage before has not run yet
  * StageError                     a stage cannot do its work
    * SourceError                  a source of URLs does not answer, or answers nonsense
    * GateFailed                   an expectation on the data does not hold
    * TrainingError                a model cannot be trained on this data
    * EngineError                  the Dask workers do not answer, died, or have other code than this process
    * ModelError                   a model cannot be loaded, or does not fit the data
  * PictureUnreadable              the path given to ``predict`` cannot be read; an OSError too
  * ReviewError                    a cleaning batch cannot take this step
    * StaleBatch                   somebody else changed the batch first; carries the difference
    * NeedsConfirmation            a large or dangerous deletion that was not ticked
  * OrchestratorError              the Prefect server does not answer, or refuses
  * MissingExtra                   a part of Keepset that is not installed; a ModuleNotFoundError too

Trouble with a single *item* (one URL, one image) is never one of these: it is a row in a manifest
with a ``status``, a ``reason`` from ``keepset.reasons`` and a ``detail``.

Each class carries the exit code that the command line returns for it; ``docs/cli.md`` lists them.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ConfigError",
    "DamagedFile",
    "EngineError",
    "GateFailed",
    "KeepsetError",
    "ManifestError",
    "ManifestMissing",
    "MissingExtra",
    "ModelError",
    "NeedsConfirmation",
    "OrchestratorError",
    "PictureUnreadable",
    "ReviewError",
    "SourceError",
    "StageError",
    "StaleBatch",
    "TrainingError",
    "WorkspaceBusy",
    "WorkspaceError",
    "WorkspaceNotWritable",
    "WorkspaceUnreachable",
    "WorkspaceVersionError",
]


class KeepsetError(Exception):
    """Base of all run errors.

    ``message`` says what happened and to what; ``remedy`` says what to do next.
    """

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n{self.remedy}" if self.remedy else self.message

    def as_dict(self) -> dict[str, Any]:
        """The error as one JSON-ready document, as ``--json`` prints it."""
        return {"error": type(self).__name__, "message": self.message, "remedy": self.remedy}


class ConfigError(KeepsetError):
    exit_code = 2


class WorkspaceError(KeepsetError):
    exit_code = 3


class WorkspaceNotWritable(WorkspaceError):
    @classmethod
    def of_cache(cls, e: OSError) -> WorkspaceNotWritable:
        """Trouble with the local copy of an object, which says nothing about the object."""
        return cls(
            f"The local cache of the workspace cannot be used: {e.filename or 'its disk'}: {e.strerror}.",
            "Free some space, or set KEEPSET_CACHE to another folder; the cache may be deleted at any time.",
        )


class WorkspaceVersionError(WorkspaceError):
    pass


class WorkspaceBusy(WorkspaceError):
    exit_code = 7


class WorkspaceUnreachable(WorkspaceError):
    pass


class DamagedFile(WorkspaceError, ValueError):
    """Also a ``ValueError``: readers of files that strangers may write catch that."""


class ManifestError(KeepsetError):
    exit_code = 3


class ManifestMissing(ManifestError):
    exit_code = 4


class StageError(KeepsetError):
    exit_code = 1


class SourceError(StageError):
    pass


class GateFailed(StageError):
    exit_code = 5


class TrainingError(StageError):
    pass


class ModelError(StageError):
    pass


class EngineError(StageError):
    pass


class PictureUnreadable(KeepsetError, OSError):
    """Given to ``Predictor.predict``; in a folder such a file is a row with its reason."""


class ReviewError(KeepsetError):
    exit_code = 6


class StaleBatch(ReviewError):
    """Someone else changed the batch first.

    ``difference`` holds the rows that changed since the caller looked:
    ``[{"sha256", "mine", "theirs", "who"}]``; nothing was written.
    """

    def __init__(self, message: str, remedy: str = "", difference: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message, remedy)
        self.difference = difference or []

    def as_dict(self) -> dict[str, Any]:
        return super().as_dict() | {"difference": self.difference}


class NeedsConfirmation(ReviewError):
    pass


class OrchestratorError(KeepsetError):
    exit_code = 8


class MissingExtra(KeepsetError, ModuleNotFoundError):
    exit_code = 2

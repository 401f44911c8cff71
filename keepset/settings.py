"""Machine facts: one frozen object, read from ``KEEPSET_*`` environment variables.

A run's facts (classes, seed, sizes) are in ``keepset.config`` and are written into every manifest;
nothing here may change what a run finds, only where and how fast it runs.
"""

from __future__ import annotations

import functools
import getpass
import os
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from keepset.errors import ConfigError
from keepset.machine.cores import usable_cores
from keepset.wrong_values import explained

__all__ = ["Settings", "settings"]


def _login_name() -> str:
    """Who runs this; a user id without a name (common in containers) is ``uid 1000``."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid {os.getuid()}"


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="KEEPSET_", frozen=True, extra="ignore")

    workspace: Path | None = Field(
        None,
        description="Default workspace: a folder, or s3://BUCKET/PREFIX. If unset, the one around or in the current folder.",
    )
    cache: Path = Field(
        default_factory=lambda: Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "keepset",
        description="Local copies of a workspace on s3://. May be deleted at any time.",
    )
    workers: int = Field(default_factory=usable_cores, ge=1, description="Processes that decode images.")
    engine: Literal["local", "dask"] = Field(
        "local", description="Where shards run: in the run's own process, or on Dask workers (`keepset docs scale`)."
    )
    dask_address: str = Field(
        "", description="Address of a Dask scheduler, e.g. tcp://scheduler:8786; empty starts workers here."
    )
    dask_workers: int = Field(0, ge=0, description="Dask workers to start here; 0: one per core.")
    host: str = Field("127.0.0.1", description="Address the gallery and the web app bind to.")
    web_port: int = Field(8765, ge=0, le=65535, description="Port of the gallery; 0 picks a free one.")
    prefect_port: int = Field(4200, ge=0, le=65535, description="Port of the embedded Prefect server.")
    database: str = Field(
        "",
        description="SQLAlchemy URL of Prefect's own database, e.g. postgresql+asyncpg://...; empty: SQLite in the workspace.",
    )
    notify: str = Field(
        "",
        description="Webhook for messages about waiting batches, failed runs and new models, or the id of a "
        "Prefect notification block.",
    )
    token: str = Field("", description="Access token of the web app; needed to bind beyond loopback.")
    checkpoint_s: float = Field(
        60.0, ge=0, description="Seconds between checkpoints of a training, more if writing one is slow; 0: every step."
    )
    reconcile_s: float = Field(
        20.0,
        ge=1,
        description="Seconds between the stack's checks for unfinished work. On a bucket each check costs requests.",
    )
    reviewer: str = Field(
        default_factory=_login_name, description="Name put into the audit log; default: the login name."
    )

    @field_validator("reviewer")
    @classmethod
    def _never_blank(cls, name: str) -> str:
        return name.strip() or _login_name()


@functools.cache
def settings() -> Settings:
    """This machine's settings. Raises ``ConfigError`` that names the environment variable."""
    try:
        return Settings()
    except ValidationError as e:
        wrong = [f"KEEPSET_{'_'.join(map(str, x['loc'])).upper()}={x['input']!r} {explained(x)}" for x in e.errors()]
        raise ConfigError(
            "Wrong environment variable: " + "; ".join(wrong) + ".",
            "Change it or unset it, then run again. All settings: `keepset docs config`",
        ) from None

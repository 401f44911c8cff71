"""The options of ``keepset up``, checked before anything is started."""

from __future__ import annotations

import argparse
import re
from urllib.parse import urlsplit

from keepset.errors import ConfigError
from keepset.settings import settings

__all__ = ["check", "check_notify"]

_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}


def check(options: argparse.Namespace) -> None:
    """Raises ``ConfigError`` for a schedule, a port or a database URL that a part would die of."""
    if options.cron is not None:
        _check_cron(options.cron)
    if options.prefect_port == options.web_port != 0:
        raise ConfigError(
            f"Prefect server and gallery cannot both have port {options.web_port}.",
            "Give --prefect-port and --web-port different numbers, or 0 for free ones.",
        )
    if notify := settings().notify:
        check_notify(notify)
    if options.database:
        _check_database(options.database)


def check_notify(where: str) -> None:
    """Raises ``ConfigError`` unless it is a web address, or the id of a notification block."""
    parts = urlsplit(where)
    if not (parts.scheme in ("http", "https") and parts.hostname) and not _UUID.fullmatch(where):
        raise ConfigError(
            f"--notify {where!r} is neither a web address nor the id of a notification block.",
            "Give the address of a webhook, e.g. one that Slack, Teams or Discord made for a channel.",
        )


def _check_cron(cron: str) -> None:
    from prefect.client.schemas.schedules import CronSchedule
    from pydantic import ValidationError

    try:
        CronSchedule(cron=cron)
    except ValidationError as e:
        raise ConfigError(
            f"--cron {cron!r} is not a schedule.",
            "Give five fields: minute hour day month weekday. '0 3 * * *' is every day at 03:00 UTC.",
        ) from e


def _check_database(url: str) -> None:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    remedy = "Give --database (or KEEPSET_DATABASE) a URL like postgresql+asyncpg://user:password@host/prefect."
    try:
        found = make_url(url)
    except (ArgumentError, ValueError) as e:
        raise ConfigError("The database is not given as a URL.", remedy) from e
    if found.drivername in _DRIVERS.values():
        return
    wanted = _DRIVERS.get(found.get_backend_name())
    if wanted:
        remedy = f"Write {found.set(drivername=wanted).render_as_string(hide_password=True)}, with its password."
    raise ConfigError(f"Prefect cannot use a database through {found.drivername!r}.", remedy)

"""Polite requests for sources: guarded like downloads, retried when transient, with an error in plain language when refused."""

from __future__ import annotations

import asyncio
import json
import random
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from keepset.config import RunConfig
from keepset.download.answers import SmallResponse, Trouble, retry_after
from keepset.download.fetch import Fetcher, user_agent
from keepset.errors import SourceError
from keepset.reasons import DownloadReason
from keepset.sources import SOURCES, WIKIDATA

__all__ = ["Web", "dig", "items"]

_MOST_BYTES = 20_000_000
_LONGEST_WAIT_S = 60.0


class Web:
    """One connection pool for all sources of a run, and one event loop to drive it."""

    def __init__(self, config: RunConfig, scratch: Path) -> None:
        self.config = config
        self.runner = asyncio.Runner()
        self.fetcher = Fetcher(config.download, scratch, user_agent(config.scrape.contact))
        self.asked_at: dict[str, float] = {}
        self.rng = random.Random(config.seed)  # noqa: S311 - jitter, not secrets

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, where: TracebackType | None) -> None:
        self.runner.run(self.fetcher.close())
        self.runner.close()

    def base(self, source: str) -> str:
        """The address of an API: ``[scrape] api_urls`` may name a mirror or a test server."""
        return self.config.scrape.api_urls.get(source, SOURCES[source].home).rstrip("/")

    def asked(self, url: str) -> float:
        """Seconds until ``url`` answered. Raises ``SourceError``."""
        began = time.monotonic()
        self._get(url)
        return time.monotonic() - began

    def json(self, url: str, **params: Any) -> dict[str, Any]:
        """GET a JSON object. Parameters that are None are left out. Raises ``SourceError``."""
        wanted = {k: v for k, v in params.items() if v is not None}
        answer = self._get(f"{url}?{urlencode(wanted)}")
        try:
            found = json.loads(answer.body)
        except (ValueError, RecursionError) as e:
            raise SourceError(f"{url} did not return JSON.", "Try again later.") from e
        if not isinstance(found, dict):
            raise SourceError(f"{url} returned JSON, but not an object.", "Try again later.")
        return found

    def page(self, url: str) -> SmallResponse:
        """GET a web page, if its host's robots.txt allows it. Raises ``SourceError``."""
        try:
            why = self.runner.run(self.fetcher.refusal(url))
        except Trouble as e:
            raise SourceError(f"{url}: {e.reason} ({e.detail}).", _NEXT) from e
        if why:
            raise SourceError(f"{url} is not allowed by {why}.", "Ask the site's owner, or use another page.")
        return self._get(url)

    def _wait_for_turn(self, url: str) -> None:
        """As often as the source's rules allow; a mirror of one's own has its own rules."""
        rules = next((r for r in (*SOURCES.values(), WIKIDATA) if url.startswith(r.home)), None)
        if rules is not None:
            time.sleep(max(0.0, self.asked_at.get(rules.home, -1e9) + rules.gap_s - time.monotonic()))
            self.asked_at[rules.home] = time.monotonic()

    def _get(self, url: str) -> SmallResponse:
        for attempt in range(self.config.download.retries + 1):
            self._wait_for_turn(url)
            try:
                answer = self.runner.run(self.fetcher.read(url, most=_MOST_BYTES))
            except Trouble as e:
                if not e.transient:
                    raise SourceError(f"{url}: {e.reason} ({e.detail}).", self._remedy(url, e.reason)) from e
                problem, asked = f"{e.reason} ({e.detail})", None
            else:
                if answer.status < 400:
                    return answer
                problem, asked = f"HTTP {answer.status}", retry_after(answer.headers)
                if answer.status != 429 and answer.status < 500:
                    break
            if (asked or 0) > _LONGEST_WAIT_S:
                raise SourceError(
                    f"{url} asks Keepset to wait {asked:.0f} seconds.", "Run the same command again after that."
                )
            if attempt < self.config.download.retries:
                time.sleep(self.rng.uniform(0, min(30.0, 2.0**attempt)) if asked is None else asked)
        cut_off = next((words for reason, words in _CUT_OFF.items() if problem.startswith(reason)), None)
        if cut_off:
            raise SourceError(f"{urlsplit(url).hostname} cannot be reached: {cut_off}.", f"{_NETWORK} {_KEPT}")
        raise SourceError(f"{url} does not answer: {problem}.", self._remedy(url, problem))

    def _remedy(self, url: str, problem: str) -> str:
        rules = next((r for r in SOURCES.values() if r.path == urlsplit(url).path), None)
        if problem in ("HTTP 401", "HTTP 403") and rules and rules.contact and not self.config.scrape.contact:
            return 'It wants to know whom to write to: set [scrape] contact = "you@example.org", then run again.'
        if problem == "HTTP 429":
            return "It limits how often it may be asked. Run it again in an hour, or tomorrow. URLs already collected are kept."
        return _NEXT


_CUT_OFF = {
    DownloadReason.DNS: "its name cannot be resolved",
    DownloadReason.CONNECT: "the connection failed",
    DownloadReason.TIMEOUT: "no answer in time",
}
_NETWORK = "Check this machine's network (behind a proxy: set HTTPS_PROXY), then run again."
_KEPT = "URLs collected so far are kept."
_NEXT = f"Try again later, or remove this source from the config. {_KEPT}"


def dig(value: Any, *path: str) -> Any:
    """What is found at ``path`` in an API's answer; None where the answer is not made like that."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def items(value: Any, *path: str) -> list[Any]:
    """The list at ``path``; nothing where there is none."""
    found = dig(value, *path)
    return found if isinstance(found, list) else []

"""What a request brings to be predicted: files of a form, one raw picture, or URLs; read within limits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from keepset.predict.intake import Limits, Refused
from keepset.predict.remote import is_url, read
from keepset.reasons import DownloadReason, ImageReason
from keepset.web.budget import Budget

__all__ = ["MAX_ITEMS", "BadRequest", "Given", "Intake"]

MAX_ITEMS = 50
MAX_JSON = 200_000
LONGEST_URL = 4000
READ_S = 60.0
BUDGET = 48_000_000
"""Bytes of bodies in memory: more do not make the decoders any quicker."""
PATIENCE_S, WAITING = 15.0, 256
FETCHES = 8


class BadRequest(Exception):
    """The request itself is refused: an HTTP status, a stable code, and words."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message)
        self.status, self.error, self.message = status, error, message


@dataclass
class Given:
    """One picture to predict: its bytes, or where they are; or why there are none."""

    name: str
    data: bytes = b""
    url: str = ""
    sample: str = ""
    trouble: Refused | None = None


class _Whole(MultiPartParser):
    """Knows whether the closing boundary came: Starlette silently leaves out a part that was cut off."""

    ended = False

    def on_end(self) -> None:
        self.ended = True


class Intake:
    """Reads requests; bodies in flight are bounded together, so that many large ones cannot fill the memory.

    ``sample`` gives the bytes of a picture that the page offers, or raises ``BadRequest``.
    """

    def __init__(
        self, limits: Limits, allow_private: tuple[str, ...], sample: Callable[[str], bytes], budget: int = BUDGET
    ) -> None:
        self.limits, self.allow_private, self.sample = limits, allow_private, sample
        self.budget = Budget(budget, patience=PATIENCE_S, waiting=WAITING)
        self.fetches = asyncio.Semaphore(FETCHES)

    @asynccontextmanager
    async def given(self, request: Request, *, form: bool) -> AsyncIterator[list[Given]]:
        """The pictures of a request, in their order. Raises ``BadRequest`` or ``Busy``.

        ``form``: it came from the page, where empty fields mean nothing.
        """
        async with self._bounded(request, lambda: self._read(request, form)) as found:
            yield found

    @asynccontextmanager
    async def correction(self, request: Request) -> AsyncIterator[tuple[Given, dict[str, str]]]:
        """The picture of a multipart form with ``file`` or ``url``, and its texts ``label``, ``consent`` and ``who``, empty
        where they are missing. Raises as ``given``."""
        fields: dict[str, str] = {}
        async with self._bounded(request, lambda: self._correction(request, fields)) as found:
            yield found[0], {k: fields.get(k, "").strip()[:LONGEST_URL] for k in ("label", "who", "consent")}

    @asynccontextmanager
    async def _bounded(
        self, request: Request, reading: Callable[[], Awaitable[list[Given]]]
    ) -> AsyncIterator[list[Given]]:
        # a body without a length counts as a large one; the guard refuses more than it announced
        size = int(request.headers.get("content-length") or self.limits.max_bytes)
        await self.budget.take(size)
        try:
            async with asyncio.timeout(READ_S):
                found = await reading()
            fetched = sum(len(one.data) for one in found if one.url or one.sample)
            self.budget.add(fetched)
            size += fetched
            yield found
        except TimeoutError as e:
            raise BadRequest(408, "too_slow", f"The body did not come within {READ_S:g} s.") from e
        except ClientDisconnect as e:  # by the guard, which counts the bytes; or nobody is there to read this
            raise BadRequest(413, "too_large", "The body is too large.") from e
        finally:
            self.budget.give(size)

    async def _read(self, request: Request, form: bool) -> list[Given]:
        kind = _kind(request)
        if kind == "multipart/form-data":
            found = await self._multipart(request)
        elif form:
            raise BadRequest(415, "unsupported_media_type", "Send multipart/form-data.")
        elif kind == "application/json":
            found = _urls(await _body(request, MAX_JSON))
        elif kind.startswith("image/") or kind == "application/octet-stream":
            found = [Given("body", await _body(request, self.limits.max_bytes))]
        else:
            raise BadRequest(
                415, "unsupported_media_type", "Send multipart/form-data, application/json or the bytes of a picture."
            )
        if len(found) > MAX_ITEMS:
            raise BadRequest(413, "too_many", f"At most {MAX_ITEMS} pictures at once.")
        return await self._fetched(found)

    async def _correction(self, request: Request, fields: dict[str, str]) -> list[Given]:
        if _kind(request) != "multipart/form-data":
            raise BadRequest(415, "unsupported_media_type", "Send multipart/form-data.")
        found = await self._fetched((await self._multipart(request, fields))[:2])
        if len(found) > 1:
            raise BadRequest(400, "too_many", "A correction is about one picture.")
        return found

    async def _fetched(self, found: list[Given]) -> list[Given]:
        if not found:
            raise BadRequest(400, "nothing_given", "There is no picture and no URL in this request.")
        for one in found:
            if one.sample:
                one.data = await run_in_threadpool(self.sample, one.sample)
        async with asyncio.TaskGroup() as group:
            for one in found:
                if one.url:
                    group.create_task(self._fetch(one))
        return found

    async def _multipart(self, request: Request, fields: dict[str, str] | None = None) -> list[Given]:
        """The pictures; ``fields`` is filled with the texts."""
        parser = _Whole(request.headers, request.stream(), max_files=MAX_ITEMS, max_fields=MAX_ITEMS)
        try:
            parts = await parser.parse()
        except ClientDisconnect:
            raise
        except MultiPartException as e:
            raise BadRequest(400, "bad_form", e.message) from e
        except Exception as e:  # the parsers raise nearly anything on hostile bytes
            raise BadRequest(400, "bad_form", "This form cannot be read.") from e
        try:
            if not parser.ended:
                raise BadRequest(400, "bad_form", "The form ends too early.")
            if fields is not None:
                fields.update((name, value) for name, value in parts.multi_items() if isinstance(value, str))
            return [g for name, value in parts.multi_items() if (g := await self._part(name, value))]
        finally:
            await parts.close()

    async def _part(self, name: str, value: UploadFile | str) -> Given | None:
        if isinstance(value, str) and name == "sample" and value:
            return Given("sample", sample=value)
        if isinstance(value, str):
            return _url(value.strip()) if name == "url" and value.strip() else None
        if not value.filename and not value.size:
            return None  # a file field that was left empty
        data = await value.read(self.limits.max_bytes + 1)
        await value.close()
        one = Given((value.filename or "file")[:200], data)
        if len(data) > self.limits.max_bytes:
            one.trouble = Refused(ImageReason.TOO_LARGE, f"The file is larger than {self.limits.max_bytes / 1e6:g} MB.")
            one.data = b""
        return one

    async def _fetch(self, one: Given) -> None:
        try:
            async with self.fetches:
                one.data = await read(one.url, self.limits, self.allow_private)
        except Refused as e:
            one.trouble = e
        except ValueError as e:  # a host name that no resolver can even be asked for
            one.trouble = Refused(DownloadReason.BAD_URL, f"not fetched: {e}")


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _body(request: Request, most: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise BadRequest(413, "too_large", f"The body is over {most} bytes.")
    return bytes(body)


def _urls(body: bytes) -> list[Given]:
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError) as e:
        raise BadRequest(400, "bad_json", "The body is not JSON.") from e
    match document:
        case {"url": str(url)} if len(document) == 1:
            return [_url(url)]
        case {"urls": [*urls]} if len(document) == 1 and urls and all(isinstance(u, str) for u in urls):
            return [_url(u) for u in urls]
    raise BadRequest(400, "bad_json", 'Send {"url": "https://..."} or {"urls": ["https://...", ...]}.')


def _url(url: str) -> Given:
    if not is_url(url) or len(url) > LONGEST_URL:
        raise BadRequest(400, "bad_url", f"Not an http or https URL of at most {LONGEST_URL} characters.")
    return Given(url, url=url)

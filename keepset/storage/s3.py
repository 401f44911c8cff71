"""One bucket of an S3-compatible store, as the few requests that a workspace needs of it.

The requests go through fsspec's ``s3fs``, so credentials, endpoint and region come from where every AWS tool takes
them (``AWS_*`` variables, ``~/.aws``, fsspec's own config). Nothing is remembered between two requests: what another
machine wrote is seen at once. S3 has been strongly consistent since December 2020, listings included; a PUT is whole
or not there; and ``If-None-Match`` and ``If-Match`` let exactly one of several writers win.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import mimetypes
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from keepset.errors import WorkspaceError, WorkspaceNotWritable, WorkspaceUnreachable

__all__ = ["Bucket", "Conflict", "Facts", "bucket", "cache_trouble"]

PART_BYTES = 8 * 2**20
"""Larger files go up in parts of this size, four at a time; a part that fails is sent again, not the file."""
CONNECTIONS = 32
_BODY_TRIES = 5
_BUSY_TRIES = 6
_MULTIPART = {"chunksize": PART_BYTES, "max_concurrency": 4}


class Conflict(Exception):
    """The object is not (any more) what the writer took it for: somebody else was first."""


@dataclass(frozen=True)
class Facts:
    """What the store says of an object. ``age_s`` is its age by the store's own clock, in whole seconds."""

    size: int
    etag: str
    modified: datetime
    writer: str
    age_s: float


@functools.cache
def bucket(name: str) -> Bucket:
    return Bucket(name)


class Bucket:
    """Requests to one bucket. ``FileNotFoundError`` means that the object is not there.

    Everything else that the store refuses is a ``WorkspaceError`` with its remedy: ``WorkspaceUnreachable`` if it
    does not answer even after the retries, ``WorkspaceNotWritable`` if it lets this user read but not write.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    # -- reading -----------------------------------------------------------------------------------

    def head(self, key: str) -> Facts | None:
        try:
            answer = self._call("head_object", key)
        except FileNotFoundError:
            return None
        return _facts(answer)

    def download(self, key: str, to: Path, *, known: str = "") -> str | None:
        """Write the object's bytes to the file ``to`` and return its etag; None if ``known`` is its etag still."""
        with self._border(key):
            etag: str | None = _synced(_download, self.name, key, to, known)
        return etag

    def read(self, key: str) -> tuple[bytes, Facts]:
        with self._border(key):
            answer, body = _synced(_read, self.name, key)
        return body, _facts(answer)

    def children(self, prefix: str) -> Iterator[str]:
        """The names directly under ``prefix`` (which ends with a slash), of objects and of folders."""
        for answer in self._pages(prefix, Delimiter="/"):
            yield from (o["Key"][len(prefix) :] for o in answer.get("Contents", ()) if o["Key"] != prefix)
            yield from (p["Prefix"][len(prefix) : -1] for p in answer.get("CommonPrefixes", ()))

    def sizes(self, prefix: str, after: str = "") -> Iterator[tuple[str, int]]:
        """Key and bytes of every object whose key begins with ``prefix`` and comes after ``after``, in order."""
        more = {"StartAfter": after} if after else {}
        for answer in self._pages(prefix, **more):
            yield from ((o["Key"], o["Size"]) for o in answer.get("Contents", ()))

    def has_any(self, prefix: str) -> bool:
        return bool(self._call("list_objects_v2", "", Prefix=prefix, MaxKeys=1).get("KeyCount"))

    def _pages(self, prefix: str, **more: Any) -> Iterator[dict[str, Any]]:
        while True:
            answer = self._call("list_objects_v2", "", Prefix=prefix, **more)
            yield answer
            if not answer.get("IsTruncated"):
                return
            more = {k: v for k, v in more.items() if k != "StartAfter"}
            more["ContinuationToken"] = answer["NextContinuationToken"]

    # -- writing -----------------------------------------------------------------------------------

    def upload(self, source: Path, key: str, *, exclusive: bool = False) -> str:
        """Put a file, in parts if it is large; return its etag.

        With ``exclusive``, raise ``FileExistsError`` if the object is there already: the store decides who is first.
        """
        if source.stat().st_size < 2 * PART_BYTES:
            return self.put(key, source.read_bytes(), exclusive=exclusive)
        try:
            return self._conditional(key, lambda writer: self._put_parts(source, key, writer, exclusive))
        except Conflict as e:
            raise FileExistsError(f"s3://{self.name}/{key}") from e

    def put(self, key: str, data: bytes, *, exclusive: bool = False) -> str:
        """As ``upload``, of bytes in memory."""
        if not exclusive:
            return _etag(self._put(key, data, {}))
        try:
            return self.swap(key, data, expected="")
        except Conflict as e:
            raise FileExistsError(f"s3://{self.name}/{key}") from e

    def swap(self, key: str, data: bytes, *, expected: str) -> str:
        """Put ``data`` if the object's etag is ``expected`` ("": if there is none); return the new one.

        Raises ``Conflict``. If an answer is lost and the repeated request is refused because the first one had
        arrived, that is found out by the mark that each writer leaves on its object.
        """
        condition = {"IfMatch": f'"{expected}"'} if expected else {"IfNoneMatch": "*"}

        def send(writer: str) -> str:
            return _etag(self._put(key, data, condition | {"Metadata": {"writer": writer}}))

        return self._conditional(key, send)

    def copy(self, key: str, to: str) -> None:
        with self._border(to, writing=True):
            _filesystem().copy(f"{self.name}/{key}", f"{self.name}/{to}")

    def delete(self, key: str) -> None:
        """Nothing happens if it is not there."""
        self._call("delete_object", key, writing=True)

    def probe(self, key: str) -> None:
        """Write there, to see that it can be, and that the store obeys the conditions that everything hangs on.

        Raises ``WorkspaceNotWritable`` or ``WorkspaceError``.
        """
        self.put(key, b"written to see whether it can be\n")
        try:
            self.swap(key, b"this must be refused\n", expected="")
        except Conflict:
            return
        raise WorkspaceError(
            f"s3://{self.name} ignores conditional writes: two machines could overwrite each other's work.",
            "Use a store that obeys If-None-Match and If-Match on PUT (`keepset docs storage`), or a folder.",
        )

    def _put(self, key: str, data: bytes, more: Mapping[str, Any]) -> dict[str, Any]:
        return self._call("put_object", key, writing=True, Body=data, ContentType=_kind(key), **more)

    def _put_parts(self, source: Path, key: str, writer: str, exclusive: bool) -> str:
        with self._border(key, writing=True):
            _filesystem().put_file(
                str(source), f"{self.name}/{key}", mode="create" if exclusive else "overwrite",
                ContentType=_kind(key), Metadata={"writer": writer}, **_MULTIPART,
            )  # fmt: skip
        facts = self.head(key)
        if facts is None:
            raise FileNotFoundError(key)
        return facts.etag

    def _conditional(self, key: str, send: Callable[[str], str]) -> str:
        writer = secrets.token_hex(8)
        for attempt in range(_BUSY_TRIES):
            try:
                return send(writer)
            except (FileExistsError, FileNotFoundError, _Refused) as e:
                standing = self.head(key)
                if standing is not None and standing.writer == writer:
                    return standing.etag
                if not (isinstance(e, _Refused) and e.busy):
                    raise Conflict(key) from e
            time.sleep(0.1 * 2**attempt)  # two conditional writes met: S3 answers 409 and asks to come again
        raise Conflict(key)

    # -- the border --------------------------------------------------------------------------------

    def _call(self, method: str, key: str, *, writing: bool = False, **more: Any) -> dict[str, Any]:
        with self._border(key, writing=writing):
            where = {"Bucket": self.name} | ({"Key": key} if key else {})
            answer: dict[str, Any] = _filesystem().call_s3(method, **where, **more)
            return answer

    @contextlib.contextmanager
    def _border(self, key: str, *, writing: bool = False) -> Iterator[None]:
        try:
            yield
        except WorkspaceError:
            raise
        except Exception as e:
            found = _mapped(f"s3://{self.name}/{key}".rstrip("/"), e, writing=writing)
            if found is e:
                raise
            raise found from e


class _Refused(WorkspaceError):
    """A condition did not hold, or (``busy``) two conditional writes met. Never leaves this module."""

    def __init__(self, *, busy: bool) -> None:
        super().__init__("The store refused a conditional write.", "Run the same command again.")
        self.busy = busy


_LOGIN = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
}


def _mapped(place: str, e: Exception, *, writing: bool) -> Exception:
    """What botocore, aiohttp and s3fs raise, as this project's errors. A missing object stays what it is."""
    code, status = _code(e)
    said = str(e).rstrip(".") or type(e).__name__
    if isinstance(e, OSError) and not code and (e.filename or e.errno in (errno.ENOSPC, errno.EDQUOT)):
        return cache_trouble(e)
    if code in ("PreconditionFailed", "ConditionalRequestConflict", "412", "409"):
        return _Refused(busy=status == 409)
    if code == "NoSuchBucket":
        return WorkspaceError(
            f"There is no such bucket: {'/'.join(place.split('/')[:3])}.",
            f"{_endpoint()} Make it, or mend the name.",
        )
    if code == "InvalidBucketName" or "Invalid bucket name" in said:
        return WorkspaceError(f"{place}: no bucket can have that name.", "Give s3://BUCKET/PREFIX.")
    if isinstance(e, FileNotFoundError | FileExistsError) or type(e).__name__ == "ParamValidationError":
        return e
    if code in _LOGIN or type(e).__name__ in _NO_LOGIN:
        return WorkspaceError(f"{place}: the store does not take the login: {said}.", _CREDENTIALS)
    if isinstance(e, PermissionError):
        kind = WorkspaceNotWritable if writing else WorkspaceError
        return kind(f"{place}: access is denied: {said}.", _RIGHTS)
    origin = type(e).__module__.partition(".")[0]
    if status or isinstance(e, OSError) or origin in ("botocore", "aiohttp", "aiobotocore", "fsspec"):
        return WorkspaceUnreachable(f"{place}: the store does not answer: {said}.", f"{_endpoint()} {_AGAIN}")
    return e


def cache_trouble(e: OSError) -> WorkspaceNotWritable:
    """Trouble with the local copy of an object, which says nothing about the object."""
    return WorkspaceNotWritable(
        f"The local cache of the workspace cannot be used: {e.filename or 'its disk'}: {e.strerror}.",
        "Free some space, or set KEEPSET_CACHE to another folder; the cache may be deleted at any time.",
    )


_NO_LOGIN = {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "TokenRetrievalError"}
_CREDENTIALS = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE (`keepset docs storage`)."
_RIGHTS = "Keepset needs s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject there (`keepset docs storage`)."


_AGAIN = "Look whether it is up, then run the same command again: what is finished stays."


def _endpoint() -> str:
    address = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return f"AWS_ENDPOINT_URL is {address}." if address else "AWS_ENDPOINT_URL is not set: Amazon was asked."


def _code(e: BaseException | None) -> tuple[str, int]:
    """The store's own error code and HTTP status, from the error or from what it was made of."""
    while e is not None:
        answer = getattr(e, "response", None)
        if isinstance(answer, dict):
            status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return str(answer.get("Error", {}).get("Code", "")), int(status)
        e = e.__cause__ or e.__context__
    return "", 0


# -- s3fs ------------------------------------------------------------------------------------------


def _filesystem() -> Any:
    return _filesystem_for(os.getpid(), *((k, v) for k, v in os.environ.items() if k.startswith("AWS_")))


@functools.lru_cache(maxsize=4)
def _filesystem_for(*_facts: object) -> Any:
    import s3fs

    logging.getLogger("aiobotocore").setLevel(logging.WARNING)
    settings: dict[str, Any] = {
        "max_pool_connections": 2 * CONNECTIONS,
        "connect_timeout": 10,
        "read_timeout": 60,
    }
    retries: dict[str, Any] = {} if "AWS_MAX_ATTEMPTS" in os.environ else {"max_attempts": 6}
    retries |= {} if "AWS_RETRY_MODE" in os.environ else {"mode": "standard"}
    filesystem = s3fs.S3FileSystem(
        use_listings_cache=False, skip_instance_cache=True, config_kwargs=settings | {"retries": retries}
    )
    filesystem.retries = 2  # around botocore's own, for what that does not repeat
    return filesystem


def _synced(function: Any, *arguments: Any) -> Any:
    from fsspec.asyn import sync

    filesystem = _filesystem()
    return sync(filesystem.loop, function, filesystem, *arguments)


async def _download(filesystem: Any, name: str, key: str, to: Path, known: str) -> str | None:
    condition = {"IfNoneMatch": f'"{known}"'} if known else {}
    for attempt in range(_BODY_TRIES):
        try:
            answer = await filesystem._call_s3("get_object", Bucket=name, Key=key, **condition)
        except OSError as e:
            if _code(e)[1] == 304:
                return None
            raise
        with contextlib.suppress(*_cut_short()):
            async with answer["Body"] as stream:
                with to.open("wb") as f:
                    while piece := await stream.read(2**20):
                        f.write(piece)
            if to.stat().st_size == answer["ContentLength"]:
                return _etag(answer)
        await _pause(attempt)
    raise WorkspaceUnreachable(
        f"s3://{name}/{key} was cut short {_BODY_TRIES} times.", "Run the same command again."
    )


async def _read(filesystem: Any, name: str, key: str) -> tuple[dict[str, Any], bytes]:
    for attempt in range(_BODY_TRIES):
        answer = await filesystem._call_s3("get_object", Bucket=name, Key=key)
        with contextlib.suppress(*_cut_short()):
            async with answer["Body"] as stream:
                body = await stream.read()
            if len(body) == answer["ContentLength"]:
                return answer, body
        await _pause(attempt)
    raise WorkspaceUnreachable(
        f"s3://{name}/{key} was cut short {_BODY_TRIES} times.", "Run the same command again."
    )


def _cut_short() -> tuple[type[Exception], ...]:
    """What a body raises that does not come to its end; requests themselves are repeated by botocore."""
    from aiohttp import ClientError
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    return ClientError, HTTPClientError, IncompleteReadError, TimeoutError, ConnectionError


async def _pause(attempt: int) -> None:
    import asyncio

    await asyncio.sleep(0.2 * 2**attempt)


def _facts(answer: Mapping[str, Any]) -> Facts:
    modified = answer["LastModified"]
    said = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    age = (parsedate_to_datetime(said) - modified).total_seconds() if said else 0.0
    writer = answer.get("Metadata", {}).get("writer", "")
    return Facts(int(answer["ContentLength"]), _etag(answer), modified, writer, age)


def _etag(answer: Mapping[str, Any]) -> str:
    return str(answer["ETag"]).removeprefix("W/").strip('"')


def _kind(key: str) -> str:
    return mimetypes.guess_type(key)[0] or "application/octet-stream"

"""Several workspaces in one gallery: the stack's own at ``/``, each other one below ``/w/<id>/``.

Each has an app of its own, with its own guard, which sees its paths without the prefix. ``base`` is the prefix for the
links of the page that is being written; redirects get it here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.types import Message, Receive, Scope, Send

from keepset.orchestrator.neighbours import neighbours

__all__ = ["Workspaces", "base"]

_BELOW = re.compile(r"(/w/([0-9a-f]{16}))(/.*)?")
_base: ContextVar[str] = ContextVar("base", default="")


def base() -> str:
    """What comes before the paths of the workspace that is shown: "" or ``/w/<id>``."""
    return _base.get()


class Workspaces:
    """ASGI app of the workspace at ``root`` and of those that its stack works on; ``make`` gives the app of one."""

    def __init__(self, root: Path, make: Callable[[Path], Starlette]) -> None:
        self.root, self.make, self.own = root, make, make(root)
        self.apps: dict[str, Starlette] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _BELOW.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if found is None:
            await self.own(scope, receive, send)
            if scope["type"] == "lifespan":
                for app in self.apps.values():
                    await run_in_threadpool(app.state.close)
            return
        try:
            app = await run_in_threadpool(self._app, found[2])
        except KeyError:
            await self.own({**scope, "path": "/w/", "raw_path": b"/w/"}, receive, send)  # which says so
            return
        path = found[3] or "/"
        token = _base.set(found[1])
        try:
            inner = {**scope, "path": path, "raw_path": path.encode("utf-8"), "root_path": ""}
            await app(inner, receive, _with_prefix(send, found[1]))
        finally:
            _base.reset(token)

    def _app(self, workspace_id: str) -> Starlette:
        """Raises ``KeyError`` for a workspace that is none of this stack's."""
        if workspace_id not in self.apps:
            self.apps[workspace_id] = self.make(neighbours(self.root)[workspace_id].root)
        return self.apps[workspace_id]


def _with_prefix(send: Send, prefix: str) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            if headers.get("location", "").startswith("/"):
                headers["location"] = prefix + headers["location"]
        await send(message)

    return wrapped

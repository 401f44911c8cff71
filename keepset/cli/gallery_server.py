"""Run the web app: on loopback, or beyond it with a token."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import secrets
import socket
from pathlib import Path

from keepset.cli import output
from keepset.errors import ConfigError, WorkspaceError
from keepset.files import write_secret
from keepset.machine.programs import spell
from keepset.storage import scratch

__all__ = ["serve"]


def serve(workspace: Path, host: str, port: int, token: str = "") -> None:
    """Serve until interrupted; port 0 takes a free one. Raises ``WorkspaceError`` for a bind beyond loopback without
    a token, and ``ConfigError`` for an address or port that cannot be had."""
    import uvicorn

    from keepset.machine.heap import keep_small
    from keepset.pipeline.followup import State, resume, standing
    from keepset.web.app import create_gallery
    from keepset.workspace import Workspace

    keep_small()

    loopback = _is_loopback(host)
    if not loopback and not token:
        raise WorkspaceError(
            f"The gallery is not opened to {host} without a token.",
            f"Set KEEPSET_TOKEN, for example to the fresh one in {_fresh_token(workspace)}.",
        )
    app = (
        create_gallery(workspace, token=token)
        if loopback
        else create_gallery(workspace, token=token, hosts=frozenset())
    )
    bound = _bound(host, port)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    name = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host  # noqa: S104 - only compared
    shown = f"http://{name}:{bound.getsockname()[1]}"
    output.say(f"Gallery: {shown}{'/?token=...' if token else ''}   (Ctrl-C stops it)")
    if resume(Workspace.open(workspace)):
        output.say("An approval was being carried out when its process ended; it goes on in the background.")
    with contextlib.suppress(KeyboardInterrupt):  # the way to stop it, not a fault
        server.run(sockets=[bound])
    if standing(Workspace.open(workspace)).state == State.WORKING:
        look = spell("keepset", "status", "-w", workspace)
        output.say(f"Applying and retraining goes on in the background: {look}")


def _bound(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as e:
        code = getattr(e, "errno", None)
        why = os.strerror(code) if code else str(e).rstrip(".")
        raise ConfigError(
            f"The gallery cannot have {host}, port {port}: {why}.",
            "Choose another with --port (0 takes a free one), or look whether a gallery runs there already.",
        ) from e


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _fresh_token(workspace: Path) -> Path:
    path = scratch(workspace) / "web-token"
    write_secret(path, secrets.token_urlsafe(24) + "\n")
    return path

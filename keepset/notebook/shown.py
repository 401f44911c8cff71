"""What a notebook shows of pages: the report inside it, and a link to the gallery, whose pages refuse to be framed."""

from __future__ import annotations

import atexit
import re
import subprocess
import time
from dataclasses import dataclass
from html import escape
from pathlib import Path

from keepset.errors import WorkspaceError
from keepset.machine.programs import environment, program
from keepset.workspace import Workspace

__all__ = ["Gallery", "Report"]


@dataclass(frozen=True)
class Report:
    """A report: one HTML file without scripts."""

    path: Path

    def __repr__(self) -> str:
        return f"Report: {self.path}"

    def _repr_html_(self) -> str:
        page = escape(self.path.read_text(encoding="utf-8"), quote=True)
        return f'<iframe srcdoc="{page}" sandbox style="width:100%;height:700px;border:1px solid #8884"></iframe>'


@dataclass
class Gallery:
    """A gallery that runs at ``url``; ``close`` ends it if this notebook started it."""

    url: str
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls, ws: Workspace) -> Gallery:
        """Start ``keepset web`` on a free port of this machine. Raises ``WorkspaceError`` if it ends at once."""
        command = program("keepset", "web", "--workspace", str(ws.root), "--host", "127.0.0.1", "--port", "0")
        log = ws.scratch / "logs" / "notebook-gallery.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as out:
            process = subprocess.Popen(command, env=environment(), stdin=subprocess.DEVNULL, stderr=out)
        while True:
            ended = process.poll() is not None
            said = log.read_text(errors="replace")
            if found := re.search(r"Gallery: (http://\S+)", said):
                gallery = cls(found[1], process)
                atexit.register(gallery.close)
                return gallery
            if ended:
                raise WorkspaceError(f"The gallery did not start: {said.strip()}", f"The log: {log}")
            time.sleep(0.05)

    def close(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def __repr__(self) -> str:
        return f"Gallery: {self.url}"

    def _repr_html_(self) -> str:
        return f'<a href="{escape(self.url, quote=True)}" target="_blank" rel="noopener">Open the gallery</a> ({escape(self.url)})'

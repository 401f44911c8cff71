"""What the model looks at, asked of one process that has torch (``keepset.interpret.cam_process``).

The gallery itself never loads torch. The first question starts the process; when nobody asks for a while, it ends. What
somebody waits for comes first, then pictures that are likely to be asked for next. Answers are kept in the local cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path

from keepset.errors import KeepsetError, ModelError
from keepset.files import read_json, write_json
from keepset.machine.extras import need
from keepset.machine.programs import environment, program
from keepset.predict.queueing import Busy
from keepset.workspace import Workspace

__all__ = ["CamQuestion", "CamQuestions", "HeatRows"]

HeatRows = list[list[int]]
"""Rows of a heat map, 0 to 255."""
_WAITING = 16
"""Questions that may wait; more are refused."""
_IDLE_S = 60.0


@dataclass(frozen=True)
class CamQuestion:
    """What speaks for ``label`` in the picture, by ``model``."""

    model: str
    sha256: str
    label: str


class CamQuestions:
    """The questions of one workspace. Any thread may ask; one thread of its own speaks with the process."""

    def __init__(self, ws: Workspace, idle_s: float = _IDLE_S) -> None:
        self.ws, self.idle_s = ws, idle_s
        self._changed = threading.Condition()
        self._asked: dict[CamQuestion, Future[HeatRows]] = {}
        self._ahead: deque[CamQuestion] = deque()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[str] | None = None
        self._closed = False

    def known(self, question: CamQuestion) -> HeatRows | None:
        """The answer from the cache."""
        with contextlib.suppress(KeepsetError, OSError, KeyError):
            rows: HeatRows = read_json(self._path(question))["heat"]
            return rows
        return None

    def ask(self, question: CamQuestion, ahead: Iterable[CamQuestion] = ()) -> Future[HeatRows]:
        """The answer in the future, which may hold a ``KeepsetError``. ``ahead`` replaces what was to be looked at ahead.

        Raises ``MissingExtra`` without the extra ``train``, and ``Busy`` if too many questions wait.
        """
        need("train")
        with self._changed:
            self._ahead = deque(ahead)
            if question in self._asked:
                return self._asked[question]
            if len(self._asked) >= _WAITING or self._closed:
                raise Busy(5)
            future: Future[HeatRows] = Future()
            future.set_running_or_notify_cancel()  # two may wait for it: none of them cancels it
            self._asked[question] = future
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="grad-cam", daemon=True)
                self._thread.start()
            self._changed.notify()
        return future

    def look_ahead(self, ahead: Iterable[CamQuestion]) -> None:
        """Replace what is looked at ahead, if there is a process: none is started for that."""
        with self._changed:
            if self._thread is not None:
                self._ahead = deque(ahead)
                self._changed.notify()

    def close(self) -> None:
        """End the process now; what still waits gets an error."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread = self._thread
            if self._process is not None:
                self._process.kill()
        if thread is not None:
            thread.join(10)

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        process = self._process
        return process.pid if process is not None else None

    # -- the thread --------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while (question := self._next()) is not None:
                try:
                    rows, trouble = self._answer(question), None
                except (KeepsetError, OSError, ValueError) as e:
                    rows, trouble = [], e if isinstance(e, KeepsetError) else ModelError(f"Grad-CAM: {e}")
                with self._changed:
                    future = self._asked.pop(question, None)
                    if trouble is not None:
                        self._ahead.clear()  # it would most likely meet the same
                if future is not None and trouble is not None:
                    future.set_exception(trouble)
                elif future is not None:
                    future.set_result(rows)
        finally:
            with self._changed:
                if self._thread is threading.current_thread():
                    self._stop()

    def _next(self) -> CamQuestion | None:
        """The question that waited longest, else one ahead; None when it is time to end."""
        with self._changed:
            until = time.monotonic() + self.idle_s
            while not self._closed:
                if self._asked:
                    return next(iter(self._asked))
                if self._ahead:
                    question = self._ahead.popleft()
                    if not self._path(question).exists():
                        return question
                    continue
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            self._stop()
            return None

    def _stop(self) -> None:
        """No more answers from this thread: the next question starts another, and a process. With the lock held."""
        self._end()
        self._thread = None
        for future in self._asked.values():
            future.set_exception(ModelError("The gallery is ending."))
        self._asked.clear()

    def _answer(self, question: CamQuestion) -> HeatRows:
        found = self.known(question)
        if found is not None:
            return found
        process = self._started()
        assert process.stdin is not None and process.stdout is not None  # noqa: PT018, S101 - both are pipes
        line = ""
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(asdict(question)) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        if not line:
            code = self._end()
            raise ModelError(
                f"The process that looks at pictures has ended (exit code {code}).",
                "Try again. If it happens again, the terminal of the gallery, or logs/web.log, says why.",
            )
        answer = json.loads(line)
        if "heat" not in answer:
            raise ModelError(answer["message"], answer["remedy"])
        write_json(self._path(question), {"heat": answer["heat"]})
        rows: HeatRows = answer["heat"]
        return rows

    def _started(self) -> subprocess.Popen[str]:
        with self._changed:
            if self._closed:
                raise ModelError("The gallery is ending.")
            if self._process is None:
                self._process = subprocess.Popen(
                    program("keepset.interpret.cam_process", str(self.ws.root)), env=environment(), text=True,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
                )  # fmt: skip
            return self._process

    def _end(self) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        process.kill()  # it has nothing to lose
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        return code

    def _path(self, question: CamQuestion) -> Path:
        label = hashlib.sha256(question.label.encode()).hexdigest()[:16]
        return self.ws.cache / "heat" / question.model / f"{question.sha256}.{label}.json"

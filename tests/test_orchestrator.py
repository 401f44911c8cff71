"""A server that does what it is asked and answers too late: nothing is done twice for that."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from keepset import orchestrator
from keepset.errors import OrchestratorError
from keepset.orchestrator import FlowRun, Orchestrator
from tests.processes import PATIENCE_S, Silent, serving

Asked = list[tuple[str, Any]]


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Orchestrator, Asked]]:
    """The first answer to each POST comes after the time-out; and what it was asked."""
    asked: Asked = []
    go_on = threading.Event()

    class Late(Silent):
        def do_GET(self) -> None:
            self.answer({"id": "d"})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            first = self.path not in [path for path, _ in asked]
            asked.append((self.path, body))
            if first:
                go_on.wait(PATIENCE_S)
            self.answer({"id": "run", "name": "brown-bear"})

        def answer(self, document: Any) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    monkeypatch.setattr(orchestrator, "_TIMEOUT_S", 3.0)
    with serving(Late) as port:
        yield Orchestrator(f"http://127.0.0.1:{port}", None), asked
        go_on.set()


def test_a_run_is_asked_for_again_under_the_same_key(late: tuple[Orchestrator, Asked]) -> None:
    prefect, asked = late
    assert prefect.start_deployment("train/train", {}).id == "run"
    keys = [body["idempotency_key"] for _, body in asked]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    prefect.start_deployment("train/train", {})
    assert asked[-1][1]["idempotency_key"] != keys[0]


@pytest.mark.parametrize(
    "ask",
    [
        lambda prefect: prefect.give_up("run", "its process is gone"),
        lambda prefect: prefect.resume(FlowRun("run", ""), {}),
    ],
)
def test_what_must_not_be_done_twice_is_not(
    late: tuple[Orchestrator, Asked], ask: Callable[[Orchestrator], Any]
) -> None:
    prefect, asked = late
    with pytest.raises(OrchestratorError, match="did not answer in time"):
        ask(prefect)
    assert len(asked) == 1


def test_a_question_is_asked_again(late: tuple[Orchestrator, Asked]) -> None:
    prefect, asked = late
    prefect.runs(["RUNNING"])
    assert len(asked) == 2

"""What W&B's client sends for a run: a server of this machine records it. It answers as far as the client needs."""

import gzip
import json
import signal
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SMALL
from tests.tracking.test_wandb import inspect
from tools.soak.processes import Command

TRACKED = [argument for argument in SMALL if argument != "tracking=none"]


class Server(ThreadingHTTPServer):
    """W&B's GraphQL door and its file store."""

    daemon_threads = True
    instead: tuple[int, bytes, dict[str, str]] | None = None
    """What it answers to everything: status, body and headers."""
    silent = False
    silent_after = ""
    """The name of a request after which it answers nothing any more."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.streamed = ""
        self.quiet = threading.Event()
        self.address = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """The client hangs up as it likes."""

    def of(self, name: str) -> list[dict[str, Any]]:
        """The variables of all requests of a name."""
        return [variables for asked, variables in self.asked if asked == name]

    def answer(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        inside = given.get("input", {})
        project = {"id": "p", "name": "nst", "entity": {"id": "e", "name": "me"}}
        bucket = {"id": "r", "name": given.get("name"), "displayName": "x", "config": "{}", "project": project}
        place = {"uploadUrl": f"{self.address}/upload", "uploadHeaders": []}
        made = {"id": inside.get("artifactCollectionName"), "state": "PENDING"}
        files = [
            {"id": "f", "name": each["name"], "displayName": each["name"], "storagePath": each["name"]}
            | {"uploadMultipartUrls": None, "artifact": {"id": each["artifactID"]}}
            | place
            for each in inside.get("artifactFiles", [])
        ]
        run_files = [{"name": each, "uploadUrl": place["uploadUrl"]} for each in given.get("files", [])]
        answers: dict[str, Any] = {
            "Viewer": {"viewer": {"id": "v", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}},
            "ServerFeaturesQuery": {"serverInfo": {"features": []}},
            "UpsertBucket": {"upsertBucket": {"bucket": bucket, "inserted": True}},
            "CreateRunFiles": {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": run_files}},
            "ArtifactType": {"project": {"artifact": None}},
            "CreateArtifact": {"createArtifact": {"artifact": made | {"artifactSequence": {"latestArtifact": None}}}},
            "CreateArtifactManifest": {"createArtifactManifest": {"artifactManifest": {"id": "m", "file": place}}},
            "CreateArtifactFiles": {"createArtifactFiles": {"files": {"edges": [{"node": each} for each in files]}}},
            "CommitArtifact": {"commitArtifact": {"artifact": {"id": given.get("artifactID"), "digest": "d"}}},
            "UseArtifact": {"useArtifact": {"artifact": {"id": inside.get("artifactID"), "digest": "d"}}},
        }
        found: dict[str, Any] = answers.get(name, {})
        return found


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_PUT(self) -> None:
        self._body()
        self._reply({})

    def do_GET(self) -> None:
        self._reply({})

    def do_POST(self) -> None:
        body = self._body()
        if self.path != "/graphql":
            self.server.streamed += body.decode(errors="replace")
            return self._reply({})
        asked = json.loads(body)
        name = asked["query"].split("(")[0].split("{")[0].split()[1]
        self.server.asked.append((name, asked.get("variables") or {}))
        self.server.silent |= name == self.server.silent_after
        if self.server.silent:
            self.server.quiet.wait()  # until the test is over
        return self._reply({"data": self.server.answer(name, asked.get("variables") or {})})

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _reply(self, answer: dict[str, Any]) -> None:
        status, data, headers = self.server.instead or (200, json.dumps(answer).encode(), {})
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(data))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.delenv("WANDB_SERVICE", raising=False)  # that of the tests' own process
    monkeypatch.setenv("WANDB_BASE_URL", server.address)
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    yield server
    server.quiet.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_sweep_sends_runs_of_one_group_with_their_figures_and_lineage(server: Server) -> None:
    asked = ("-m", *TRACKED, "judge=slim", "style_weight=1e3,1e6", "steps=2", "hydra.sweep.dir=sweep")
    done = Command(*asked).end()
    assert done.status == 0, done.said
    runs = {each["name"]: each for each in server.of("UpsertBucket") if each.get("displayName")}
    names = sorted(each["displayName"] for each in runs.values())
    assert names == ["report", "transfer style_weight=1e3", "transfer style_weight=1e6"]
    assert len({each["groupName"] for each in runs.values()}) == 1
    assert '\\"loss/style\\"' in server.streamed
    assert '\\"judge/w2\\"' in server.streamed
    used = {each["input"]["artifactID"].partition("-")[0] for each in server.of("UseArtifact")}
    assert used == {"content", "style", "slim"}
    made = [each["input"] for each in server.of("CreateArtifact")]
    kinds = {each["artifactTypeName"] for each in made}
    assert kinds == {"content", "style", "slim", "result", "sheet", "run_table"}
    metadata = next(json.loads(each["metadata"]) for each in made if each["artifactTypeName"] == "result")
    assert metadata["style"][0]["sha256"]


def quickly() -> None:
    """Let a command have seconds where it has half a minute, W&B's import left out."""
    import wandb  # noqa: F401

    from nst import patience
    from nst.tracking import wandb as tracker

    patience.PATIENCE, patience.ALLOWANCE = 10.0, 5.0
    tracker.INIT_TIMEOUT = tracker.LINEAGE_TIMEOUT = 1.0


BAD = {
    "HTML": (200, b"<html>Welcome</html>", {"Content-Type": "text/html"}),
    "a redirect to itself": (302, b"", {"Location": "/graphql"}),
    "no data": (200, b'{"data":{}}', {}),
}


@pytest.mark.parametrize("answer", BAD)
def test_a_server_that_is_not_that_of_wandb_is_given_up(server: Server, answer: str) -> None:
    server.instead = BAD[answer]
    done = run(steps=2)
    assert done.said.count("W&B could not be reached") == 1
    assert tracked("run")["mode"] == "offline"


def test_a_server_that_never_answers_is_given_up_for_all_jobs(server: Server) -> None:
    server.silent = True
    done = Command("-m", *TRACKED, "steps=1", "seed=0,1", "hydra.sweep.dir=sweep", before=quickly).end(60)
    assert done.status == 0, done.said
    assert done.said.count("W&B could not be reached") == 1
    assert [tracked(f"sweep/{job}")["mode"] for job in (0, 1)] == ["offline", "offline"]
    assert len(server.asked) == 1


def test_a_server_that_falls_silent_holds_up_no_run(server: Server) -> None:
    server.silent_after = "CommitArtifact"
    done = run(steps=2)
    assert done.said.count("W&B does not answer; the run is there without its results") == 1
    assert done.said.count("W&B has not taken all of the run in time") == 1
    upload = done.out.rpartition("upload: ")[2].strip(" )\n").split()
    assert upload[1] == "sync"
    history = inspect(Path(upload[2]))
    assert '"loss/total"' in history


def with_a_service_that(number: int) -> None:
    """Send the service process a signal at the first report of the first run."""
    from nst.tracking import wandb_service
    from nst.tracking.wandb import WandbTracker

    quickly()
    log = WandbTracker.log

    def first(self: WandbTracker, *given: Any) -> None:
        WandbTracker.log = log  # type: ignore[method-assign]
        for process in wandb_service.service_processes():
            process.send_signal(number)
        log(self, *given)

    WandbTracker.log = first  # type: ignore[method-assign, assignment]


def stopped() -> None:
    with_a_service_that(signal.SIGSTOP)


def killed() -> None:
    with_a_service_that(signal.SIGKILL)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs POSIX signals")
def test_a_stopped_service_process_holds_up_no_run(server: Server) -> None:
    done = run(steps=2, before=stopped)
    assert done.said.count("the tracker failed") == 1


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_after_a_killed_service_process_the_next_job_has_another(server: Server) -> None:
    done = Command("-m", *TRACKED, "steps=1", "seed=0,1", "hydra.sweep.dir=sweep", before=killed).end(60)
    assert done.status == 0, done.said
    assert done.said.count("the tracker failed") == 1
    assert tracked("sweep/1")["mode"] == "online"
    assert "report" in {each.get("jobType") for each in server.of("UpsertBucket")}


def test_a_service_process_that_has_ended_is_replaced(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SERVICE", "3-1-unix-/nowhere")
    run(steps=1)
    assert tracked("run")["mode"] == "online"


def run(steps: int, before: Callable[[], None] = quickly) -> Command:
    """A command that is tracked, finished in time."""
    done = Command(*TRACKED, f"steps={steps}", "hydra.run.dir=run", before=before).end(60)
    assert done.status == 0, done.said
    assert json.loads(Path("run", "record.json").read_text())["status"] == "finished"
    assert "Traceback" not in done.said
    return done


def tracked(folder: str) -> dict[str, Any]:
    """What a run's record says of its tracker."""
    facts: dict[str, Any] = json.loads(Path(folder, "record.json").read_text())["tracker"]
    return facts

"""What W&B's client sends for a run: a server of this machine records it. It answers as far as the client needs."""

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.conftest import SMALL
from tests.processes import Command

TRACKED = [argument for argument in SMALL if argument != "tracking=none"]


class Server(ThreadingHTTPServer):
    """W&B's GraphQL door and its file store."""

    daemon_threads = True
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

    def do_POST(self) -> None:
        body = self._body()
        if self.path != "/graphql":
            self.server.streamed += body.decode(errors="replace")
            return self._reply({})
        asked = json.loads(body)
        name = asked["query"].split("(")[0].split("{")[0].split()[1]
        self.server.asked.append((name, asked.get("variables") or {}))
        if name == self.server.silent_after:
            self.server.quiet.wait()  # until the test is over
        return self._reply({"data": self.server.answer(name, asked.get("variables") or {})})

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _reply(self, answer: dict[str, Any]) -> None:
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.delenv("WANDB_MODE")
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
    from nst.tracking import wandb

    wandb.LINEAGE_TIMEOUT = wandb.FINISH_TIMEOUT = 1.0


def test_a_server_that_falls_silent_holds_up_no_run(server: Server) -> None:
    server.silent_after = "CommitArtifact"
    done = Command(*TRACKED, "steps=2", "hydra.run.dir=run", before=quickly).end(60)
    assert done.status == 0, done.said
    assert "W&B does not answer; the run is there without what it was made from" in done.said

"""Watching a run or a sweep: its report on 127.0.0.1, made anew while the runs go on."""

import os
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

from nst.errors import InputError
from nst.report.page import render
from nst.report.sweep import read

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
"""Names by which this machine's browser may ask; another one is that of a page elsewhere that points here."""
VERSION = "/version"
"""Where the page asks whether there is another one."""
REFRESH = 5
"""Seconds between two such questions."""
SCRIPT = """
setInterval(async () => {
    const now = await (await fetch("%(where)s")).text();
    if (now !== "%(version)s" && !document.querySelector(":popover-open")) location.reload();
}, %(milliseconds)d);
"""
WAITING = "<!doctype html><meta charset=utf-8><title>nst</title><p>Waiting for the first run.</p>"


def server(folders: Sequence[Path], title: str | None = None, port: int = 0) -> ThreadingHTTPServer:
    """A server of one page, the report of the folders. port: 0: any that is free. Raises InputError if it is taken."""
    lock = Lock()  # matplotlib draws one chart at a time
    held: dict[float, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if (self.headers.get("Host") or "").rpartition(":")[0] not in NAMES or self.path not in ("/", VERSION):
                self.send_error(404)
                return
            version = _version(folders)
            if self.path == VERSION:
                self._answer(str(version).encode(), "text/plain")
                return
            with lock:
                if version not in held:
                    held.clear()
                    held[version] = _page(folders, title, version)
                page = held[version]
            self._answer(page, "text/html; charset=utf-8")

        def _answer(self, content: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        raise InputError(f"--port {port}: {error.strerror}") from None


def _version(folders: Sequence[Path]) -> float:
    """When a record or a table of losses has changed last."""
    return max((path.stat().st_mtime for each in folders for path in _watched(each)), default=0.0)


def _page(folders: Sequence[Path], title: str | None, version: float) -> bytes:
    """The page as it is now. It loads itself again once there is another version, unless a config is open in it."""
    try:
        text = render([read(folder) for folder in folders], title)
    except InputError:
        text = WAITING
    script = SCRIPT % {"version": version, "where": VERSION, "milliseconds": 1000 * REFRESH}
    return f"{text}<script>{script}</script>".encode()


def _watched(folder: Path) -> list[Path]:
    names = ("record.json", "losses.csv")
    return [path for depth in ("", "*/", "*/*/") for name in names for path in folder.glob(depth + name)]


def watch(folders: Sequence[Path], title: str | None, port: int) -> None:
    """Serve the report until Ctrl-C."""
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder")
    with server(folders, title, port) as serving:
        shown = ", ".join(os.path.relpath(folder) for folder in folders)
        print(f"watching {shown} on http://{HOST}:{serving.server_port}/ (Ctrl-C ends it)", flush=True)
        serving.serve_forever()

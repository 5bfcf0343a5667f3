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
REFRESH = 5
"""Seconds between two looks at the folder."""
WAITING = "<!doctype html><meta charset=utf-8><title>nst</title><p>Waiting for the first run.</p>"


def server(folders: Sequence[Path], title: str | None = None, port: int = 0) -> ThreadingHTTPServer:
    """A server of one page, the report of the folders. port: 0: any that is free. Raises InputError if it is taken."""
    lock = Lock()  # matplotlib draws one chart at a time
    held: dict[float, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if (self.headers.get("Host") or "").rpartition(":")[0] not in NAMES or self.path != "/":
                self.send_error(404)
                return
            with lock:
                page = _page(folders, title, held)
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        raise InputError(f"--port {port}: {error.strerror}") from None


def _page(folders: Sequence[Path], title: str | None, held: dict[float, bytes]) -> bytes:
    """The page as it is now; made anew only if a record or a table of losses has changed since."""
    changed = max((path.stat().st_mtime for each in folders for path in _watched(each)), default=0.0)
    if changed not in held:
        held.clear()
        try:
            sweeps = [read(folder) for folder in folders]
        except InputError:
            held[changed] = _refreshing(WAITING)
        else:
            running = any(run.status == "running" for sweep in sweeps for run in sweep.runs)
            text = render(sweeps, title)
            held[changed] = _refreshing(text) if running else text.encode()
    return held[changed]


def _watched(folder: Path) -> list[Path]:
    names = ("record.json", "losses.csv")
    return [path for depth in ("", "*/", "*/*/") for name in names for path in folder.glob(depth + name)]


def _refreshing(page: str) -> bytes:
    """A page that a browser loads again by itself; a reader who has opened a config is not disturbed."""
    script = f"setInterval(() => document.querySelector(':popover-open') || location.reload(), {1000 * REFRESH})"
    return f"{page}<script>{script}</script>".encode()


def watch(folders: Sequence[Path], title: str | None, port: int) -> None:
    """Serve the report until Ctrl-C."""
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder")
    with server(folders, title, port) as serving:
        shown = ", ".join(os.path.relpath(folder) for folder in folders)
        print(f"watching {shown} on http://{HOST}:{serving.server_port}/ (Ctrl-C ends it)", flush=True)
        serving.serve_forever()

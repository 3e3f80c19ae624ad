"""The live page of a run: a small server for one person on this machine.

The server knows the run by its folder alone (`fieldgrad.engine.train.run`), so it can neither
disturb the training nor change its numbers, and it may be started, stopped and started again while
the run goes on. It listens on 127.0.0.1 only, answers only who knows its token, and only pages that
it has sent itself: a page of another origin, or one that reaches it under another name, is refused.
"""

import os
import secrets
import shutil
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from fieldgrad.engine.errors import FieldgradError, require
from fieldgrad.engine.runs.curves import run_charts
from fieldgrad.engine.train.logs import picture_files
from fieldgrad.engine.train.run import Run, to_json

__all__ = ["Server", "application", "serve"]

_PAGE = Path(__file__).with_name("live.html")

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


class Watcher:
    """What the page shows of a run, read from its folder as it grows.

    Parameters
    ----------
    folder : Path
        The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.run = Run(folder)
        self.rows: list[dict[str, Any]] = []
        self.offset = 0
        self.started: Any = None
        self._process: Any = None

    def look(self) -> dict[str, Any]:
        """Give the present state of the run, its charts, knob history, pictures and the load."""
        status = self.run.status()
        if status.get("started") != self.started:  # a new process writes the log anew
            self.rows, self.offset, self.started = [], 0, status.get("started")
        new, self.offset = self.run.log(self.offset)
        self.rows += new
        changes = self.run.changes()
        pictures = picture_files(self.run.folder)
        return {
            "name": self.run.folder.resolve().name,
            "status": status,
            "charts": run_charts(self.rows, changes),
            "changes": [{**c.as_dict(), "text": str(c)} for c in changes][::-1],
            "pictures": [{"name": p.stem, "at": p.stat().st_mtime} for p in pictures],
            "load": self._load(int(status.get("pid") or 0)),
        }

    def _load(self, pid: int) -> dict[str, float]:
        """Measure processor, memory and disk, in percent and GB."""
        psutil = require("psutil", extra="live")
        memory, disk = psutil.virtual_memory(), shutil.disk_usage(self.run.folder)
        load = {
            "processor": psutil.cpu_percent(),
            "memory": memory.percent,
            "memory_gb": round(memory.total / 1e9, 1),
            "disk": round(100 * disk.used / disk.total, 1),
            "disk_free_gb": round(disk.free / 1e9, 1),
        }
        try:
            if self._process is None or self._process.pid != pid:
                self._process = psutil.Process(pid)
            load["run_gb"] = round(self._process.memory_info().rss / 1e9, 2)
        except (psutil.Error, ValueError):
            self._process = None
        return load


class Guard:
    """Refuse whoever does not know the token, and pages of other origins.

    Parameters
    ----------
    app : callable
        The ASGI application behind it.
    token : str
        What a request must carry, as ``Authorization: Bearer …`` or as ``?token=…``.
    port : int
        Where the server listens; requests must name it as their host.
    """

    def __init__(self, app: App, token: str, port: int) -> None:
        self.app, self.token = app, token
        self.hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        from starlette.responses import PlainTextResponse

        problem = self.problem(scope)
        if problem:
            await PlainTextResponse(problem, status_code=403)(scope, receive, send)
            return None
        return await self.app(scope, receive, send)

    def problem(self, scope: Scope) -> str:
        """Say why a request is refused, or give an empty text."""
        headers = {
            name.decode("latin1"): value.decode("latin1") for name, value in scope["headers"]
        }
        if headers.get("host") not in self.hosts:
            return "This server answers under 127.0.0.1 only."
        origin = headers.get("origin")
        if origin is not None and origin.removeprefix("http://") not in self.hosts:
            return "This server answers its own page only, and not one of another origin."
        given = headers.get("authorization", "").removeprefix("Bearer ")
        given = given or parse_qs(scope["query_string"].decode("latin1")).get("token", [""])[0]
        if not secrets.compare_digest(given.encode(), self.token.encode()):
            return "The token is missing or wrong. Open the whole address that was printed."
        return ""


def application(folder: Path, token: str, port: int) -> App:
    """Make the application that serves a run's page.

    Parameters
    ----------
    folder : Path
        The run's folder.
    token : str
        What every request must carry.
    port : int
        Where it will listen.

    Returns
    -------
    callable
        An ASGI application: ``/`` is the page, ``/state`` what it shows, ``/pictures/NAME`` a
        picture, and a POST to ``/request`` turns knobs.

    Raises
    ------
    MissingExtra
        If the libraries of the extra ``live`` are not installed.
    """
    require("starlette", extra="live")
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import FileResponse, PlainTextResponse, Response
    from starlette.routing import Route

    watcher, lock = Watcher(folder), threading.Lock()

    def answer(content: dict[str, Any], status: int = 200) -> Response:
        return Response(to_json(content), status, media_type="application/json")

    def look() -> dict[str, Any]:
        with lock:
            return watcher.look()

    async def page(request: Request) -> Response:
        return Response(_PAGE.read_text(encoding="utf-8"), media_type="text/html", headers=_SAFE)

    async def state(request: Request) -> Response:
        return answer(await run_in_threadpool(look))

    async def picture(request: Request) -> Response:
        files = {path.stem: path for path in picture_files(folder)}
        path = files.get(request.path_params["name"])
        if path is None:
            return PlainTextResponse("There is no such picture.", 404)
        return FileResponse(path, headers={"Cache-Control": "no-store"})

    async def ask(request: Request) -> Response:
        try:
            asked = await request.json()
            settings, action = dict(asked.get("settings", {})), str(asked.get("action", ""))
        except (ValueError, TypeError, AttributeError):
            return answer({"done": False, "said": "Expected settings and action as JSON."}, 400)
        run = Run(folder)
        try:
            said = await run_in_threadpool(run.request, settings, action, source="browser")
        except FieldgradError as error:
            return answer({"done": False, "said": str(error)}, 409)
        return answer({"done": True, "said": said})

    routes = [
        Route("/", page),
        Route("/state", state),
        Route("/pictures/{name}", picture),
        Route("/request", ask, methods=["POST"]),
    ]
    return Guard(Starlette(routes=routes), token, port)


# The page loads nothing from elsewhere, and its address, which holds the token, goes nowhere.
_SAFE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src "
    "'unsafe-inline'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


class Server:
    """A running server of a run's page.

    Parameters
    ----------
    url : str
        The page's address, with its token.
    server : uvicorn.Server
        What serves it.
    thread : threading.Thread
        In which it does.
    """

    def __init__(self, url: str, server: Any, thread: threading.Thread) -> None:
        self.url = url
        self._server, self._thread = server, thread

    def wait(self) -> None:
        """Wait until the server ends, with Ctrl-C for instance."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def stop(self) -> None:
        """End the server."""
        self._server.should_exit = True
        self._thread.join(10)


def _has_windows() -> bool:
    """Tell whether a browser with windows can open; one in the terminal would hide the training."""
    if sys.platform != "linux":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def serve(folder: Path, *, port: int = 0, open_browser: bool = False) -> Server:
    """Start the server of a run's page in a thread of its own.

    Parameters
    ----------
    folder : Path
        The run's folder.
    port : int, default 0
        Where to listen on 127.0.0.1; 0 takes a free port.
    open_browser : bool, default False
        Open the page, where there are windows.

    Returns
    -------
    Server
        Its address, and how to stop it.

    Raises
    ------
    MissingExtra
        If the libraries of the extra ``live`` are not installed.
    FileError
        If there is no such folder.
    OSError
        If the port is taken.
    """
    uvicorn = require("uvicorn", extra="live")
    require("psutil", extra="live")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    port, token = listener.getsockname()[1], secrets.token_urlsafe(24)
    app = application(folder, token, port)
    config = uvicorn.Config(app, log_level="error", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(
        target=server.run, args=([listener],), name="fieldgrad-live", daemon=True
    )
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    url = f"http://127.0.0.1:{port}/?token={token}"
    if open_browser and _has_windows():
        webbrowser.open(url)
    return Server(url, server, thread)

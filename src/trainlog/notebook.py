"""The dashboard in a notebook: in a frame below a cell, and as an entry of Jupyter's launcher.

::

    trainlog.show("runs/")

The server is a separate process, so that it takes no time from a training in the notebook. It ends with the notebook.
"""

from __future__ import annotations

import atexit
import html
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from trainlog.errors import LogNotFound
from trainlog.served_process import PATIENCE, ServedPage

__all__ = ["Dashboard", "jupyter_server", "show"]

# The origins of pages that can embed the frame: notebooks on this machine, in a browser or in an editor.
_NOTEBOOKS: Final = (
    *("'self'", "http://localhost:*", "http://127.0.0.1:*", "https://localhost:*", "https://127.0.0.1:*"),
    *("vscode-webview:", "vscode-file:"),
)
_open: Final[dict[tuple[str, ...], Dashboard]] = {}


class Dashboard(ServedPage):
    """A running dashboard, which a notebook shows as a frame.

    Attributes:
        url: the address of the page, for a browser on this machine.
        height: the height of the frame, in pixels.

    """

    _address = ""
    height = 0

    def __repr__(self) -> str:
        return f"<dashboard at {self.url}>"

    def _repr_html_(self) -> str:
        address, height = html.escape(self._address), int(self.height)
        return f'<iframe title="trainlog" src="{address}" width="100%" height="{height}" style="border: 0"></iframe>'


def show(
    *logs: str | os.PathLike[str],
    height: int = 720,
    port: int = 0,
    proxy: str | None = None,
    hostnames: Sequence[str] = (),
) -> Dashboard:
    """Serve the dashboard of *logs*, and show it below the cell of a notebook.

    A process serves the same logs only once. The server listens only on this machine.

    Args:
        logs: folders and files; by default the current folder.
        height: the height of the frame, in pixels.
        port: the port to listen on; 0 for any free one.
        proxy: the address under which a browser on another machine reaches a port of this one, with ``{port}`` in it,
            such as ``/user/me/proxy/{port}/``. By default the variable ``TRAINLOG_PROXY``, or what JupyterHub sets.
        hostnames: the host names of the proxy, if it passes on the name that the browser requested.

    Returns:
        The dashboard, which a notebook shows as a frame; it has the address, and `Dashboard.close`.

    Raises:
        LogNotFound: when one of *logs* does not exist.
        TrainlogError: when the server does not start, for example without its extra, ``trainlog[server]``.

    """
    paths = [Path(log).absolute() for log in logs or (".",)]
    for path in paths:
        if not path.exists():
            raise LogNotFound("there is no such file or folder", path=path)
    hub = os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
    proxy = proxy or os.environ.get("TRAINLOG_PROXY") or (f"{hub.rstrip('/')}/proxy/{{port}}/" if hub else None)
    names = [f"--hostname={name}" for name in hostnames]
    framed = [f"--framed-by={site}" for site in _NOTEBOOKS]
    options = ("serve", *map(str, paths), f"--port={port}", *names, *framed, "--until-stdin-ends")
    known = _open.get(options)
    if known is None or not known.is_running:
        known = _open[options] = Dashboard(options)
        atexit.register(known.close)
    parts = urlsplit(known.url)
    query = f"?{parts.query}" if parts.query else ""
    known._address = proxy.replace("{port}", str(parts.port)) + query if proxy else known.url
    known.height = height
    return known


def jupyter_server() -> dict[str, Any]:
    """The dashboard of Jupyter's own folder for jupyter-server-proxy, which calls this by its entry point.

    Only Jupyter knows the token of this server, and only users of Jupyter can reach it.
    """
    token = secrets.token_urlsafe(24)
    return {
        "command": [sys.executable, "-m", "trainlog", "serve", "--port={port}", "--framed-by='self'"],
        "environment": {"TRAINLOG_TOKEN": token},
        "request_headers_override": {"Host": "localhost:{port}", "Authorization": f"Bearer {token}"},
        "timeout": int(PATIENCE),
        "launcher_entry": {
            "title": "trainlog",
            "icon_path": str(Path(__file__).parent / "server" / "static" / "icon.svg"),
        },
    }

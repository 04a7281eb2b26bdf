"""The dashboard in a notebook: in a frame below a cell, and as an entry of Jupyter's launcher.

::

    trainlog.show("runs/")

The server is a process of its own, so that it takes no time from a training in the notebook, and ends with it.
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

# Whose pages may have the frame: notebooks on this machine, in a browser or in an editor.
_NOTEBOOKS: Final = (
    *("'self'", "http://localhost:*", "http://127.0.0.1:*", "https://localhost:*", "https://127.0.0.1:*"),
    *("vscode-webview:", "vscode-file:"),
)
_open: Final[dict[tuple[str, ...], Dashboard]] = {}


class Dashboard(ServedPage):
    """A dashboard that is served; a notebook shows it as a frame.

    Attributes:
        url: of the page, for a browser on this machine.
        height: of the frame, in pixels.

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

    The same logs are served once in a process. The server listens on this machine alone.

    Args:
        logs: folders and files; the present folder where there are none.
        height: of the frame, in pixels.
        port: to listen on; 0 for any free one.
        proxy: the address under which a browser on another machine reaches a port of this one, with ``{port}`` in it,
            as ``/user/me/proxy/{port}/``. By default the environment's ``TRAINLOG_PROXY``, or what JupyterHub sets.
        hostnames: of the proxy, where it passes on the name that the browser asked for.

    Returns:
        What a notebook shows as a frame; it has the address, and `Dashboard.close`.

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
    """The dashboard of Jupyter's own folder for jupyter-server-proxy, which asks this by its entry point.

    Only Jupyter knows the token of this server, and only who may use Jupyter reaches it.
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

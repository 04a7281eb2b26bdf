"""``trainlog serve``: the dashboard."""

from __future__ import annotations

import logging
import re
import socket
import sys
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trainlog.cli.output import LogPath, echo
from trainlog.errors import MissingExtra

if TYPE_CHECKING:
    from trainlog.server.connections import Server

PORT = 5050
_SITE = re.compile(r"'self'|[a-z][a-z+.-]*:(?://[\w.*:\[\]-]+)?", re.ASCII)
_CONNECTIONS = 16_384
_UNREAD = 1 << 17  # bytes that the system buffers for a client that does not read; its default is megabytes


@click.command
@click.argument("logs", nargs=-1, type=LogPath(), metavar="[DIR|FILE]...")
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(0, 65535), help="0 for any free port.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Any address other than loopback needs a token.")
@click.option(
    "--token",
    envvar="TRAINLOG_TOKEN",
    help="The token that the browser must have; generated if needed. Can also be set with TRAINLOG_TOKEN.",
)
@click.option("--open", "opening", is_flag=True, help="Open the page in the browser.")
@click.option("--hostname", "hostnames", multiple=True, help="Another host name of this server. Can be repeated.")
@click.option(
    "--framed-by",
    "framers",
    multiple=True,
    metavar="SITE",
    help="A site that may show the page in a frame. Can be repeated.",
)
@click.option("--until-stdin-ends", "controlled", is_flag=True, hidden=True, help="Exit when standard input ends.")
@click.option("--read-only", is_flag=True, help="Do not store names, tags, notes and views next to the logs.")
def command(
    logs: tuple[Path, ...],
    port: int,
    host: str,
    token: str | None,
    opening: bool,
    hostnames: tuple[str, ...],
    framers: tuple[str, ...],
    controlled: bool,
    read_only: bool,
) -> None:
    """Show logs in the browser, while they are being written and afterwards.

    Serves all logs of any format in the given folders (by default the current folder).
    """
    try:
        from trainlog.server.app import create_app
        from trainlog.server.connections import Server
        from trainlog.server.responses import one_line
        from trainlog.server.security import is_loopback, new_token
    except ImportError as error:
        raise MissingExtra(f'the dashboard needs its extra: pip install "trainlog[server]" ({error})') from error
    if token is not None and len(token) < 8:
        raise click.UsageError("a token needs at least 8 characters")
    if any(not _SITE.fullmatch(site) for site in framers):
        raise click.UsageError("a site must be an address like https://example.org, or 'self'")
    host = host.strip("[]")  # as an IPv6 address is written in a URL
    if not is_loopback(host) and token is None:
        token = new_token()
    _allow_many_connections()
    listening = _listen(host, port)
    address, port = listening.getsockname()[:2]
    names = {"127.0.0.1", "localhost", "::1", host, *hostnames}
    if address in ("0.0.0.0", "::"):
        names |= {socket.gethostname(), socket.getfqdn(), *_addresses()}
    shown = f"[{host}]" if ":" in host else ("localhost" if address in ("0.0.0.0", "127.0.0.1", "::") else host)
    url = f"http://{shown}:{port}/" + (f"?token={token}" if token else "")
    app = create_app(logs or (Path(),), hosts=names, token=token, framed_by=framers, read_only=read_only)
    echo(f"trainlog: {url}", err=True)
    if opening:
        webbrowser.open(url)
    try:
        server = Server(app)
        logging.getLogger("uvicorn.error").addFilter(one_line)
        if controlled:
            threading.Thread(target=_wait_for_end, args=(server,), daemon=True).start()
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        return  # Ctrl-C ends the server


def _wait_for_end(server: Server) -> None:
    """End the server when the process that started it closes its standard input, or dies."""
    sys.stdin.read()
    server.stop()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNREAD)  # connections inherit it
    try:
        server.bind((host, port))
    except OSError as error:
        server.close()
        raise click.ClickException(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
    server.listen(1024)  # a client that connects before the server runs has to wait, but is not refused
    return server


def _allow_many_connections() -> None:
    """Raise the limit of open files: each connection is one, and shells allow fewer than the system does."""
    try:
        import resource
    except ImportError:  # not on Windows, which has no such limit
        return
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS if most == resource.RLIM_INFINITY else min(_CONNECTIONS, most)
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _addresses() -> set[str]:
    """The addresses of this host's name."""
    try:
        return {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None)}
    except OSError:
        return set()

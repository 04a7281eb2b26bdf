"""Access control: the Host header, the token, and the restrictions for browsers."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Callable, Collection, Mapping
from typing import Final
from urllib.parse import urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trainlog.server.responses import ApiError, refusal

__all__ = ["Guard", "is_loopback", "new_token", "refuse_other_sites"]

COOKIE: Final = "trainlog"
_POLICY: Final = "content-security-policy"
POSTS: Final = frozenset(["/api/v1/notes", "/api/v1/stream"])  # the body has what is too long for an address
_HEADERS: Final = {
    _POLICY: (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
_LONGEST: Final = 32_768  # maximum length of path and query


def new_token() -> str:
    """A token that cannot be guessed."""
    return secrets.token_urlsafe(24)


def is_loopback(host: str) -> bool:
    """Whether *host* can be reached only from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_other_sites(request: Request) -> None:
    """Allow changes only to the server's own pages and to programs.

    Raises:
        ApiError: if a browser reports that the request comes from a page of another site.

    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:  # as the browser sees it; behind a proxy, the Host header can be another name than the origin
        is_other = site not in ("none", "same-origin")
    else:
        is_other = origin is not None and origin.partition("://")[2] != request.headers.get("host")
    if is_other:
        raise ApiError(403, "site", "another site may not do that")


class Guard:
    """ASGI middleware that checks each request before the application sees it.

    A token comes in the header ``Authorization: Bearer``, in a cookie, or once in the address (``/?token=``), which
    sets the cookie and is then removed from the address.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Collection[str],
        token: str | None,
        framed_by: Collection[str] = (),
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        """Accept requests to *hosts* (without ports; empty accepts all), with *token* if there is one.

        The sites in *framed_by* may show the page in a frame.
        """
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._token = token
        # Cookies are not bound to ports: two servers on one machine must not overwrite each other's.
        self._cookie = f"{COOKIE}_{hashlib.blake2b((token or '').encode(), digest_size=4).hexdigest()}"
        self._headers = {**_HEADERS, _POLICY: _HEADERS[_POLICY] + (" ".join(framed_by) or "'none'")}
        if not framed_by:
            self._headers["x-frame-options"] = "DENY"
        self.stop = stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or pass it to the application."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted, which becomes a 403
        if scope["type"] != "http":
            return
        answer = self._judge(scope) or self._app
        await answer(scope, receive, _with_headers(send, self._headers))

    def _judge(self, scope: Scope) -> Response | None:
        request = Request(scope)
        if len(scope["path"]) + len(scope["query_string"]) > _LONGEST:
            return refusal(ApiError(414, "long", "the address is too long"))
        if self._hosts and _name_of(request.headers.getlist("host")) not in self._hosts:
            return refusal(ApiError(421, "host", "this server does not have that name"))
        if scope["method"] not in ("GET", "HEAD") and not (scope["method"] == "POST" and scope["path"] in POSTS):
            return refusal(ApiError(405, "method", "this server only answers GET"))
        if self._token is None:
            return None
        query = request.query_params
        if self._fits(query.get("token", "")):
            if scope["path"].startswith("/api/"):
                return None
            rest = urlencode([(name, value) for name, value in query.multi_items() if name != "token"])
            root = "../" * (scope["path"].count("/") - 1) or "./"  # behind a proxy, the server may not be at the root
            to = RedirectResponse(root + (f"?{rest}" if rest else ""), 303)
            to.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path="/")
            return to
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._fits(given) or self._fits(request.cookies.get(self._cookie, "")):
            return None
        return refusal(ApiError(401, "token", "this server requires its token; open the address that it printed"))

    def _fits(self, token: str) -> bool:
        return hmac.compare_digest(token.encode("utf-8", "replace"), (self._token or "").encode())


def _name_of(hosts: list[str]) -> str:
    """The name in the Host header, without the port; empty unless there is exactly one."""
    if len(hosts) != 1:
        return ""
    host = hosts[0].lower().strip()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _with_headers(send: Send, added: Mapping[str, str]) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in added.items():
                headers[name] = value
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return sending

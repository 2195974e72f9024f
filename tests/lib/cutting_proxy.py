"""A real HTTP proxy that can hang up after the server has answered, so that the caller cannot know it did."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

_NOT_FORWARDED = {"host", "connection", "content-length", "transfer-encoding", "content-encoding", "expect"}


@dataclass
class Cuts:
    """Which answers are withheld.

    Attributes:
        path_end: answers to requests of such a path are withheld.
        left: how many still are.
        done: how many were.
        method: of these requests.
    """

    path_end: str
    left: int
    done: int = 0
    method: str = "POST"
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, method: str, path: str) -> bool:
        """Whether this answer is withheld; counts it."""
        with self.lock:
            if method != self.method or not path.partition("?")[0].endswith(self.path_end) or self.left == 0:
                return False
            self.left -= 1
            self.done += 1
            return True


@contextmanager
def cutting_proxy(
    upstream: str,
    cuts: Cuts,
    *,
    before: Callable[[str, str], None] = lambda method, path: None,
    keeps_host: bool = False,
) -> Iterator[str]:
    """The address of a proxy to `upstream` that cuts as told.

    Args:
        upstream: address of the server.
        cuts: which answers are withheld.
        before: called with method and path of every request before it is forwarded.
        keeps_host: whether the server is told the proxy's address, which S3's signatures include.
    """
    with httpx.Client(base_url=upstream, timeout=60.0, trust_env=False) as client:

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # answers `Expect: 100-continue`

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

            def _forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {k: v for k, v in self.headers.items() if k.lower() not in _NOT_FORWARDED}
                if keeps_host:
                    headers["Host"] = self.headers["Host"]
                before(self.command, self.path)
                answer = client.request(self.command, self.path, content=body, headers=headers)
                self.close_connection = True
                if cuts.take(self.command, self.path):
                    return
                self.send_response(answer.status_code)
                for key, value in answer.headers.multi_items():
                    if key.lower() not in _NOT_FORWARDED:
                        self.send_header(key, value)
                self.send_header("Content-Length", str(len(answer.content)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(answer.content)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _forward

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = False
        thread = threading.Thread(target=server.serve_forever, name="cutting-proxy")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

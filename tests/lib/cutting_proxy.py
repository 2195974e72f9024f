"""A real HTTP proxy that can hang up after the server has answered, so that the caller cannot know it did."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

_NOT_FORWARDED = {"host", "connection", "content-length", "transfer-encoding", "content-encoding"}


@dataclass
class Cuts:
    """Which answers are withheld.

    Attributes:
        path_end: answers to POST requests of such a path are withheld.
        left: how many still are.
        done: how many were.
    """

    path_end: str
    left: int
    done: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, method: str, path: str) -> bool:
        """Whether this answer is withheld; counts it."""
        with self.lock:
            if method != "POST" or not path.partition("?")[0].endswith(self.path_end) or self.left == 0:
                return False
            self.left -= 1
            self.done += 1
            return True


@contextmanager
def cutting_proxy(upstream: str, cuts: Cuts) -> Iterator[str]:
    """The address of a proxy to `upstream` that cuts as told."""
    with httpx.Client(base_url=upstream, timeout=60.0, trust_env=False) as client:

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._forward()

            def do_POST(self) -> None:
                self._forward()

            def do_PATCH(self) -> None:
                self._forward()

            def do_DELETE(self) -> None:
                self._forward()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

            def _forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {k: v for k, v in self.headers.items() if k.lower() not in _NOT_FORWARDED}
                answer = client.request(self.command, self.path, content=body, headers=headers)
                self.close_connection = True
                if cuts.take(self.command, self.path):
                    return
                self.send_response(answer.status_code)
                for key, value in answer.headers.multi_items():
                    if key.lower() not in _NOT_FORWARDED:
                        self.send_header(key, value)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

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

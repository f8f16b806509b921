import gzip
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    """A request as it came: every byte of it, and its body decompressed."""

    path: str
    raw: bytes
    body: bytes


class StubServer:
    """A tiny HTTP server that keeps every byte it is sent and always answers the same."""

    def __init__(self, answer: Callable[[Received], tuple[int, Any]]) -> None:
        self.received: list[Received] = []
        keep = self.received.append

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                head = f"{self.requestline}\r\n{self.headers}".encode()
                plain = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                keep(request := Received(self.path, head + body, plain))
                status, content = answer(request)
                said = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            do_GET = do_POST = _answer  # noqa: N815 - the names http.server calls

            def log_message(self, *_arguments: Any) -> None:
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """Close it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

"""A customer's validator for the tests: a real TLS server with a certificate authority of its own."""

import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HOST = "validator.test"  # the certificate's name; nobody but a test's resolver knows it


@dataclass(frozen=True)
class Question:
    """A request as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What to say. `after_s` passes before the first byte, `between_s` before each further one of the body."""

    body: bytes = b'{"decision": "allow"}'
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    after_s: float = 0.0
    between_s: float = 0.0


def says(decision: str) -> Answer:
    """An answer with this decision."""
    return Answer(json.dumps({"decision": decision, "reason": "because"}).encode())


class ValidatorServer:
    """Answers what `answer` returns; `asked` is what came so far, `connections` how many were made."""

    def __init__(self, folder: Path) -> None:
        self.ca_file = str(folder / "ca.pem")
        self.answer: Callable[[Question], Answer] = lambda _: Answer()
        self.asked: list[Question] = []
        self.connections = 0
        self.ended = threading.Event()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "server.pem", folder / "server.key")
        self._server = _Server(("127.0.0.1", 0), self)
        self.port: int = self._server.server_address[1]

    @property
    def url(self) -> str:
        """Its address by the name in its certificate."""
        return f"https://{HOST}:{self.port}/judge"

    @property
    def literal_url(self) -> str:
        """Its address without a name."""
        return f"https://127.0.0.1:{self.port}/judge"

    def wrap(self, connection: socket.socket) -> ssl.SSLSocket:
        """TLS, as this server speaks it; its own thread shakes hands."""
        self.connections += 1
        return self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)

    @contextmanager
    def running(self) -> Iterator["ValidatorServer"]:
        """Serve until the end."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.ended.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], owner: ValidatorServer) -> None:
        super().__init__(address, _Handler)
        self.owner = owner

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        return self.owner.wrap(connection), address

    def handle_error(self, *_: object) -> None:
        """Clients that go away are what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        self.request.do_handshake()
        super().setup()

    def do_POST(self) -> None:
        owner = self.server.owner
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        question = Question(self.path, dict(self.headers), body)
        owner.asked.append(question)
        answer = owner.answer(question)
        owner.ended.wait(answer.after_s)
        with suppress(OSError):
            self.send_response(answer.status)
            for name, value in (*answer.headers, ("Content-Length", str(len(answer.body)))):
                self.send_header(name, value)
            self.end_headers()
            self._send_body(answer)

    def _send_body(self, answer: Answer) -> None:
        if not answer.between_s:
            self.wfile.write(answer.body)
            return
        for byte in answer.body:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(answer.between_s)

    def log_message(self, *_: object) -> None:
        """Not on a test's standard error."""


def make_certificates(folder: Path) -> None:
    """An authority, and a certificate of it for the host and 127.0.0.1."""
    (folder / "san").write_text(f"subjectAltName=DNS:{HOST},IP:127.0.0.1\n")
    new = ["req", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    authority = ["-subj", "/CN=Our authority", "-addext", "keyUsage=critical,keyCertSign"]
    for arguments in (
        [*new, "-x509", *authority, "-keyout", "ca.key", "-out", "ca.pem"],
        [*new, "-subj", f"/CN={HOST}", "-keyout", "server.key", "-out", "server.csr"],
        [
            *("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-days", "2", "-extfile", "san", "-out", "server.pem"),
        ],
    ):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

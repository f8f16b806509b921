"""An intake that answers 202 at once, and looks into what it took only when it is asked afterwards."""

import asyncio
import contextlib
import gzip
import itertools
import time
from collections.abc import Iterator

import msgspec
import uvloop

from rig import content_length

GZIP_MAGIC = b"\x1f\x8b"


class _Keyed(msgspec.Struct):
    delivery_key: str = ""


class _Log(msgspec.Struct):
    execlave: _Keyed | None = None


class Intake(asyncio.Protocol):
    """Takes requests whole, notes when, and answers 202.

    Afterwards GET /sink/first/N answers the first N logs, and GET /sink/count what arrived in all, and forgets it.
    After GET /sink/hang it takes requests and never answers them, until GET /sink/answer, which cuts them off.
    """

    hangs = False
    hung: set[asyncio.BaseTransport] = set()  # noqa: RUF012 - shared, likewise
    received: list[tuple[int, bytes]] = []  # noqa: RUF012 - shared by every connection of this one process
    _logs = msgspec.json.Decoder(list[_Log])
    _raw_logs = msgspec.json.Decoder(list[msgspec.Raw])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._transport, self._pending, self._wanted = transport, bytearray(), 0

    def data_received(self, data: bytes) -> None:
        """Answer each request as soon as its last byte is here."""
        self._pending += data
        while len(self._pending) >= max(self._wanted, 1):
            head_end = self._pending.find(b"\r\n\r\n")
            if head_end < 0:
                return
            head, body_start = bytes(self._pending[:head_end]), head_end + 4
            self._wanted = body_start + content_length(head)
            if len(self._pending) < self._wanted:
                return
            body = bytes(self._pending[body_start : self._wanted])
            del self._pending[: self._wanted]
            self._wanted = 0
            path = head.split(b" ", 2)[1].decode()
            if Intake.hangs and path.startswith("/api/"):
                Intake.hung.add(self._transport)
                continue
            status, content = self._answer(path, body)
            answer = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            self._transport.write(answer % (status, len(content), content))

    def _answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        if path == "/api/v2/logs":
            self.received.append((time.monotonic_ns(), body))
            return 202, b"{}"
        if path == "/api/v1/validate":
            return 200, b'{"valid":true}'
        if path in {"/sink/hang", "/sink/answer"}:
            Intake.hangs = path == "/sink/hang"
            while Intake.hung:
                Intake.hung.pop().abort()
            return 200, b"{}"
        if path.startswith("/sink/first/"):
            wanted = int(path.rpartition("/")[2])
            logs = (raw for body in self._bodies() for raw in self._raw_logs.decode(body))
            return 200, b"[" + b",".join(itertools.islice(logs, wanted)) + b"]"
        return 200, msgspec.json.encode(self._count())

    def _bodies(self) -> Iterator[bytes]:
        return (gzip.decompress(body) if body.startswith(GZIP_MAGIC) else body for _, body in self.received)

    def _count(self) -> dict[str, object]:
        """What arrived since the last count."""
        keys: list[str] = []
        size = 0
        for body in self._bodies():
            size += len(body)
            keys += [log.execlave.delivery_key if log.execlave else "" for log in self._logs.decode(body)]
        counted = {"logs": len(keys), "distinct": len(set(keys)), "bytes": size}
        counted |= {"wire_bytes": sum(len(body) for _, body in self.received)}
        counted |= {"arrived_ns": [at for at, _ in self.received]}
        self.received.clear()
        return counted


async def _run_sink() -> None:
    server = await asyncio.get_running_loop().create_server(Intake, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_run_sink())

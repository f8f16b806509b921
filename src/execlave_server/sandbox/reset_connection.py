import socket
import struct

from aiohttp import web

# On, zero seconds: closing sends RST and throws away what is not yet sent.
LINGER_ZERO = struct.pack("ii", 1, 0)


def reset_connection(request: web.Request) -> web.Response:
    """Break the client's connection with a TCP reset; aiohttp then finds no one to send the answer to."""
    transport = request.transport
    if transport is not None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
        transport.abort()
    return web.Response()

"""A lean protocol for the requests that make up nearly all traffic: POST of events, whole, in the plainest form of HTTP/1.1.

It stands in front of aiohttp on each connection. A request for a hot route whose head is plain (`heads`) and which arrives
whole within a moment runs the same handler, inside the same `problems_middleware`, as behind aiohttp; what aiohttp spends
beside that is saved. At the first request of any other kind (path, method, length, transfer coding, a fault, slowness) the
connection and all of its unread bytes are aiohttp's, once and for all. So every rule about odd, slow or broken requests exists
once, in aiohttp and behind it.

The event loop's thread only. A handler here has no task: it may await futures and `asyncio.sleep(0)`, not `asyncio.timeout`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine, Mapping
from typing import Any, cast

from aiohttp import web

from tlog.api.heads import MAX_BODY, MAX_HEAD, Handler, Head, Heads, HotRequest
from tlog.api.plain import PlainServer
from tlog.api.problems import problems_middleware
from tlog.api.wire import Wire

# Seconds for which the rest of a request may be under way.
_MOMENT = 0.2
# Bytes that wait behind the request that is being answered; then the client is not read from.
_WAITING = MAX_HEAD + MAX_BODY
_SWEEPS = 12  # of idle connections, in one keep-alive time


class LeanServer(PlainServer):
    """The server of one application, with lean connections for `routes` before it."""

    def __init__(
        self,
        behind: web.Server,
        app: web.Application,
        routes: Mapping[str, Handler],
        *,
        keepalive_timeout: float,
        **options: Any,
    ) -> None:
        super().__init__(behind, keepalive_timeout=keepalive_timeout, **options)
        self.app = app
        self.heads = Heads(routes, self.loop)
        self.wire = Wire()
        self.lean: set[HotConnection] = set()
        self._every = keepalive_timeout / _SWEEPS
        self._sweep = self.loop.call_later(self._every, self._close_idle)

    def __call__(self) -> web.RequestHandler:
        # It is one in all that an event loop demands of it.
        return cast(web.RequestHandler, HotConnection(self))

    def plain(self) -> web.RequestHandler:
        """A connection of aiohttp's."""
        return super().__call__()

    def pre_shutdown(self) -> None:
        """Close what is idle; what is not closes after its answer."""
        self._sweep.cancel()
        for connection in list(self.lean):
            connection.close()
        super().pre_shutdown()

    async def shutdown(self, timeout: float | None = None) -> None:
        """Wait for the answers under way, at most `timeout` seconds, then close everything."""
        busy = [connection.finished() for connection in self.lean]
        if busy:
            await asyncio.wait(busy, timeout=timeout)
        for connection in list(self.lean):
            connection.abort()
        await super().shutdown(timeout)

    def _close_idle(self) -> None:
        for connection in list(self.lean):
            connection.grow_old(_SWEEPS)
        self._sweep = self.loop.call_later(self._every, self._close_idle)


class HotConnection(asyncio.Protocol):
    """One connection. Requests are answered in order, one at a time."""

    __slots__ = (
        "_buffer",
        "_closing",
        "_done",
        "_front",
        "_held",
        "_idle",
        "_raw",
        "_reading",
        "_running",
        "_timer",
        "_transport",
    )

    def __init__(self, front: LeanServer) -> None:
        self._front = front
        self._transport: asyncio.Transport | None = None
        self._buffer = b""  # what has come and belongs to no request yet
        self._running: Coroutine[Any, Any, web.StreamResponse] | None = None
        self._raw: tuple[bytes, Head] | None = None  # of the request that is running
        self._timer: asyncio.TimerHandle | None = None
        self._done: asyncio.Future[None] | None = None
        self._closing = False
        self._held = False  # the client does not read its answers
        self._reading = True
        self._idle = 0  # sweeps since something happened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = cast(asyncio.Transport, transport)
        self._front.lean.add(self)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        """Bytes of one request, of several, or of a part of one."""
        self._idle = 0
        self._buffer = self._buffer + data if self._buffer else data
        if self._running is None:
            self._advance()
        if len(self._buffer) > _WAITING:
            self._read(False)

    def pause_writing(self) -> None:
        """The client does not take its answers: it gets no further ones."""
        self._held = True

    def resume_writing(self) -> None:
        """It does."""
        self._held = False
        self._advance()

    def connection_lost(self, error: Exception | None) -> None:
        """The client is gone; what it asked for is recorded all the same."""
        self._transport = None
        self._buffer = b""
        self._stop_timer()
        if self._running is None:
            self._front.lean.discard(self)

    def close(self) -> None:
        """Close once the running request, if there is one, is answered."""
        self._closing = True
        if self._running is None and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End the running request without an answer, and close."""
        running, self._running = self._running, None
        if running is not None:
            running.close()
        self._finish()
        if self._transport is not None:
            self._transport.close()

    def finished(self) -> asyncio.Future[None]:
        """Done once no request is running."""
        self._done = self._front.loop.create_future()
        if self._running is None:
            self._done.set_result(None)
        return self._done

    def grow_old(self, limit: int) -> None:
        """Close if nothing happened during `limit` sweeps."""
        self._idle += 1
        if self._idle > limit and self._running is None and self._transport is not None:
            self._transport.close()

    def _advance(self) -> None:
        """Start, and where possible finish, the requests that are in the buffer. HOT."""
        while self._running is None and self._buffer and not (self._held or self._closing):
            if not self._begin():
                break
        if not self._reading and self._transport is not None and len(self._buffer) <= _WAITING:
            self._read(True)

    def _begin(self) -> bool:
        """Start the request at the beginning of the buffer; False if it is not whole, or not for us."""
        data = self._buffer
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            return self._wait() if self._front.heads.may_begin(data) else self._hand_over()
        raw = data[:end]
        head = self._front.heads.read(raw)
        if head is None:
            return self._hand_over()
        whole = end + head.length
        if len(data) < whole:
            return self._wait()
        rest = data[whole:]
        if rest and not self._front.heads.may_begin(rest):
            return self._hand_over()
        self._buffer = rest
        if self._timer is not None:
            self._stop_timer()
        self._front.requests_count += 1
        self._raw = raw, head
        request = HotRequest(self._front.app, head, data[end:whole])
        self._running = problems_middleware(request, head.handler)
        self._step()
        return True

    def _step(self) -> None:
        """Run the handler up to its next wait, or to its answer."""
        if self._running is None:
            return  # ended by `abort` while it waited
        try:
            waiting = self._running.send(None)
        except StopIteration as end:
            self._running = None
            self._answer(end.value)
        except BaseException:
            # Nothing that a program goes on after: the middleware has answered for all else.
            self._running = None
            self.abort()
            raise
        else:
            if waiting is None:
                self._front.loop.call_soon(self._wake)
            else:
                waiting.add_done_callback(self._wake)

    def _wake(self, _: object = None) -> None:
        self._step()
        if self._buffer:
            self._advance()

    def _answer(self, response: web.StreamResponse) -> None:
        transport = self._transport
        stays = response.keep_alive is not False
        if transport is not None:
            transport.write(self._front.wire.response(response, close=not stays))
            if not stays or self._closing:
                self._closing = True
                transport.close()
        if response.status < 400 and self._raw is not None:
            self._front.heads.remember(*self._raw)
        self._raw = None
        if self._done is not None or transport is None:
            self._finish()

    def _finish(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(None)
        if self._transport is None:
            self._front.lean.discard(self)

    def _wait(self) -> bool:
        """The rest is under way: wait a moment for it, within the limits of a plain request."""
        if len(self._buffer) > MAX_HEAD and b"\r\n\r\n" not in self._buffer:
            return self._hand_over()
        if self._timer is None:
            self._timer = self._front.loop.call_later(_MOMENT, self._hand_over)
        return False

    def _hand_over(self) -> bool:
        """Let aiohttp have the connection, and all that it has not seen. False, always."""
        self._stop_timer()
        transport, data = self._transport, self._buffer
        self._transport, self._buffer = None, b""
        self._front.lean.discard(self)
        if transport is not None:
            plain = self._front.plain()
            transport.set_protocol(plain)
            plain.connection_made(transport)
            if self._held:
                plain.pause_writing()
            if not self._reading:
                transport.resume_reading()
            plain.data_received(data)
        return False

    def _read(self, on: bool) -> None:
        if self._transport is not None and self._reading is not on:
            self._reading = on
            (self._transport.resume_reading if on else self._transport.pause_reading)()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

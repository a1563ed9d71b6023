"""What a load generator is told and what it says: the same for the one in Go (`load/`) and the one in Python (`generator`).

A request is made from a template. These marks in it, in head or body, are written anew each time:
    app-000000000000          a number that no other mark of this process gets: it makes bodies unique
    client-000000             a number of the connection
    "sequence":000000000000   1, 2, 3 … on each connection
"""

from __future__ import annotations

import itertools
import math
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

UNIQUE, CLIENT, SEQUENCE = b"app-000000000000", b"client-000000", b'"sequence":000000000000'
MARKS = re.compile(b"|".join((UNIQUE, CLIENT, SEQUENCE)))


@dataclass(frozen=True)
class Job:
    """One run. Times in seconds; `rate` in requests per second, 0 for a closed loop.

    Closed loop: each of `clients` connections sends when its last answer is complete. Open loop: requests are due at a fixed
    rate whatever the server does, and a latency begins when the request was due.
    The window begins after `warm` seconds. What counts for the rate was answered in it with the status `want`, in a closed
    loop by the part of its time within the window; what counts for latencies was due in it.
    `count`: requests at most, 0 for no limit. `weight`: events in a request.
    """

    port: int
    templates: Sequence[bytes]
    clients: int
    seconds: float
    warm: float = 1.0
    rate: float = 0.0
    count: int = 0
    want: int = 201
    weight: int = 1
    sample_every: int = 100
    grace: float = 30.0

    @property
    def marks(self) -> int:
        """Unique numbers in a request, at most."""
        return max(template.count(UNIQUE) for template in self.templates)


@dataclass
class Result:
    """What a run measured.

    `latencies`: nanoseconds, one for each wanted answer to a request that was due in the window; a request without an
    answer stands there with the time that it had waited. `late`: nanoseconds by which the generator itself sent too late,
    in an open loop. `samples`: requests and the bodies of their answers, every `sample_every`th.
    `completed`: wanted answers in the window; `answered`: in all. `cpu`: seconds of CPU time of the generator.
    """

    generator: str
    weight: int = 1
    seconds: float = 0.0
    completed: float = 0.0
    answered: int = 0
    sent: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    broken: int = 0
    unanswered: int = 0
    cpu: float = 0.0
    refusal: str = ""
    latencies: array[int] = field(default_factory=lambda: array("q"))
    late: array[int] = field(default_factory=lambda: array("q"))
    samples: list[tuple[bytes, bytes]] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Events per second of the window."""
        return self.completed * self.weight / self.seconds

    @property
    def events(self) -> int:
        """Events that were answered, before and after the window too."""
        return self.answered * self.weight

    @property
    def refused(self) -> int:
        """Requests with another answer than the wanted one, or none."""
        return sum(self.statuses.values()) - self.answered + self.broken + self.unanswered

    def quantile(self, share: float) -> float:
        """Milliseconds within which `share` of the requests were answered. Raises: ValueError without any."""
        return quantile(self.latencies, share) / 1e6

    def lateness(self, share: float) -> float:
        """Milliseconds by which the generator itself sent too late, at most, in `share` of the requests."""
        return quantile(self.late, share) / 1e6

    def demand_all(self) -> None:
        """Raises: RuntimeError when one request was refused, with the first refusal, or none was sent in the window."""
        if self.refused:
            raise RuntimeError(
                f"{self.refused} of {self.sent} requests were refused or not answered: {self.refusal[:500]!r}"
            )
        if not self.latencies:
            raise RuntimeError(
                "no request was due in the window: the run is too short for so slow a server"
            )


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed. Raises: ValueError for no values."""
    if not values:
        raise ValueError("no quantile of nothing")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


class Template:
    """A request with its marks found."""

    def __init__(self, text: bytes) -> None:
        self._text = bytearray(text)
        self._marks = [(found.group(), found.end()) for found in MARKS.finditer(text)]

    def request(self, numbers: Iterator[int], client: int, sequences: Iterator[int]) -> bytes:
        """The request with marks of its own."""
        text = self._text
        for mark, end in self._marks:
            if mark is UNIQUE or mark == UNIQUE:
                text[end - 12 : end] = b"%012d" % next(numbers)
            elif mark == CLIENT:
                text[end - 6 : end] = b"%06d" % client
            else:
                text[end - 12 : end] = b"%12d" % next(sequences)
        return bytes(text)


class Numbers:
    """Numbers that no other run of this process gets."""

    def __init__(self) -> None:
        self.first = 1
        self.first_client = 1

    def clients(self, count: int) -> int:
        """Numbers for so many connections; the first."""
        first = self.first_client
        self.first_client += count
        return first


NUMBERS = Numbers()


def unique(template: bytes) -> bytes:
    """A body with numbers of its own, for what a generator does not send."""
    return Template(template).request(_taken(), NUMBERS.clients(1), itertools.count(1))


def _taken() -> Iterator[int]:
    while True:
        NUMBERS.first += 1
        yield NUMBERS.first - 1


def post(
    path: str, body: bytes, *, token: str = "", kind: str = "application/json", **headers: str
) -> bytes:
    """The bytes of a POST; a header `Idempotency_Key=…` is `Idempotency-Key`."""
    lines = {"Content-Type": kind, "Content-Length": str(len(body))}
    if token:
        lines["Authorization"] = f"Bearer {token}"
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    return _request("POST", path, lines) + body


def get(path: str, *, token: str = "", **headers: str) -> bytes:
    """The bytes of a GET."""
    lines = {"Authorization": f"Bearer {token}"} if token else {}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    return _request("GET", path, lines)


def _request(method: str, path: str, headers: dict[str, str]) -> bytes:
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n".encode()


def body_of(request: bytes) -> bytes:
    """What was sent after the head."""
    return request.partition(b"\r\n\r\n")[2]

"""Nasty JSON values: keys of all planes, surrogates, numbers at every edge where encoders part ways."""

from __future__ import annotations

import random
import struct
from typing import Any

EDGES: list[Any] = [
    *[0, 1, -1, 2**53 - 1, 1 - 2**53, 2**53, -(2**53), 2**63, 2**64, -(2**63) - 1, 10**23, 10**400],
    *[0.0, -0.0, 1.0, -1.0, 740.0, 0.1, 0.97, 1e-5, 9.999999999999999e-6, 1e-6, 1e-7, 1.5e-6],
    *[2**-15, 2.0**49, 2.0**49 - 0.125, 2.0**50, 1e14, 999999999999999.9, 1e15, 1e16, 1e20, 1e21],
    *[1e15 + 0.125, 4503599627370495.5, 9007199254740991.0, 9007199254740992.0, 1e22, 1.5e300],
    *[5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 333333333.3333333, 4.35, 1e23],
    *[float("nan"), float("inf"), float("-inf"), 295147905179352830000.0, -4.5e-10],
    *[
        "",
        "x",
        "\x00",
        "\x1f",
        "\x7f",
        '"',
        "\\",
        "/",
        "\b\f\n\r\t",
        "\u2028",
        "\ufeff",
        "é",
        "e\u0301",
    ],
    *["\ud7ff", "\ud800", "\udfff", "\ud83d\ude00", "\ue000", "\uffff", "😀", "𐀀", "\U0010ffff"],
    *["null", "1.0,", ".0]", ":e+5,", "1e5}", "\u02ff", "\u02e0", "\u02c1x", "ˋ", "NaN"],
    *[None, True, False, [], {}, [[]], {"": {}}, [None], {"a": None}],
    # 0xCB inside an integer of the packed form, and in front of a text.
    *[0xCB, 0xCBCB, 0x01CB44FF, 0xCB7FF0000000, "\u02c4D", -0x3501],
]
ALPHABET = [
    *[
        '"',
        "\\",
        "/",
        "~",
        "a",
        "b",
        "B",
        "0",
        ":",
        "é",
        "ß",
        "\u0000",
        "\u001f",
        "\u007f",
        "\u0080",
    ],
    *[
        "\u02cb",
        "\u2028",
        "\ud7ff",
        "\ue000",
        "\uf8ff",
        "\ufeff",
        "\uffff",
        "𐀀",
        "😀",
        "\U0010ffff",
    ],
]


class Nasty:
    """A generator of values; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def text(self) -> str:
        chosen = self._random.choices(ALPHABET, k=self._random.randrange(5))
        if self._random.random() < 0.01:
            chosen.append(chr(self._random.randrange(0xD800, 0xE000)))
        if self._random.random() < 0.1:
            chosen.append(chr(self._random.randrange(0x110000)))
        return "".join(chosen)

    def number(self) -> int | float:
        draw = self._random.random()
        if draw < 0.25:
            return self._random.randrange(-1000, 1000)
        if draw < 0.4:
            return self._random.randrange(-(2**53) + 1, 2**53)
        if draw < 0.42:
            return int(self._random.randrange(-(2**70), 2**70))
        if draw < 0.6:
            return self._random.randrange(-(2**55), 2**55) / 2.0 ** self._random.randrange(60)
        if draw < 0.8:
            digits = self._random.randrange(10 ** self._random.randrange(1, 18))
            return float(f"{digits}e{self._random.randrange(-30, 30)}")
        return float(struct.unpack(">d", self._random.randbytes(8))[0])

    def value(self, depth: int = 4) -> Any:
        draw = self._random.random()
        if depth and draw < 0.25:
            count = self._random.randrange(5)
            return {self.text(): self.value(depth - 1) for _ in range(count)}
        if depth and draw < 0.4:
            return [self.value(depth - 1) for _ in range(self._random.randrange(4))]
        if draw < 0.5:
            return self._random.choice(EDGES)
        return self.text() if draw < 0.7 else self.number()

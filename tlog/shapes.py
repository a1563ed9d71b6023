"""Entries that differ only where entries must differ: what makes one of them valid makes all of them valid.

The entries of a stream repeat each other, but for a few values whose place and form are known: the *slots* below. A shape
is a valid entry with these values taken out. An entry that is the shape's text with a value of the slot's form in every
slot is itself what `parse_entry` accepts: a parse of it gives the same members with other values, strings without any
character that is escaped and integers in their one spelling, so that it is canonical as well; and every rule about a
member (design §2.3) and between members is either settled by the text around the slots or is checked with the value.

| slot | form | checked |
| --- | --- | --- |
| chainPosition, id, previousHash | known | the whole text is |
| timestamp | strict time | by the caller, once for all entries of one commit |
| commitment root | 64 lower-case hex digits | here |
| occurredAt | strict time | here, with clockSkew |
| pseudonyms (actor of type USER, subject) | 26 Crockford characters | here |
| producer sequence | integer, 1 … 2^53 - 1 | here; that it follows the one before by the caller |

In scope: which entries a shape stands for. Out of scope: hashes, order, who counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, NamedTuple

from tlog.core.canonical import MAX_INTEGER, canonical
from tlog.core.entry import CLOCK_SKEW_MS, Entry
from tlog.core.times import parse_time
from tlog.errors import InvalidInput

HEX = b"0123456789abcdef"
_CROCKFORD = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_FIRST = b"01234567"
_WIDEST = len(str(MAX_INTEGER))

# Slots, named by their member.
POSITION, ROOT, ID, PREVIOUS, TIME = "chainPosition", "commitment", "id", "previousHash", "time"
OCCURRED, SEQUENCE, SUBJECT, ACTOR = "occurredAt", "producer", "subject", "actor"
_WIDTHS = {ROOT: 64, ID: 26, PREVIOUS: 64, TIME: 24, OCCURRED: 24, SUBJECT: 26, ACTOR: 26}


class Known(NamedTuple):
    """What must stand in entries at consecutive or other places, one value each; `ids` without `evt_`.

    Positions are as long as each other; `times` are valid, `ms` are they in Unix milliseconds.
    """

    positions: Sequence[bytes]
    ids: Sequence[bytes]
    previous: Sequence[bytes]
    times: Sequence[bytes]
    ms: Sequence[int]


def milliseconds(times: Sequence[bytes]) -> dict[bytes, int]:
    """What strict times say; those of one second are parsed once. Raises: InvalidInput, UnicodeDecodeError."""
    found: dict[bytes, int] = {}
    second, base = b"", 0
    for text in times:
        if text[:20] == second and len(text) == 24 and text[23:] == b"Z" and text[20:23].isdigit():
            found[text] = base + int(text[20:23])
        else:
            ms = parse_time(text.decode("ascii"))
            second, base = text[:20], ms - ms % 1000
            found[text] = ms
    return found


class Found(NamedTuple):
    """The slots that others go on with: 64 hex digits each; texts of sequences, None without a producer."""

    roots: list[bytes]
    sequences: list[bytes] | None


class _Slice(NamedTuple):
    """Where a slot or the text before it is. `moves`: bounds that shift with the length of the position."""

    start: int
    end: int
    moves: tuple[int, int]

    def of(self, width: int) -> slice:
        return slice(self.start + self.moves[0] * width, self.end + self.moves[1] * width)


class Shape:
    """One valid entry without the values of its slots. `fields` is the commitment's count; `producer_id` may be None."""

    def __init__(self, entry: Entry, parts: list[bytes]) -> None:
        record = entry.record
        self.fields: int = record["commitment"]["fields"]
        self.producer_id: str | None = record.get("producer", {}).get("id")
        self._skewed = "clockSkew" in record
        self._parts = parts
        self._slots = [_NAMES[part] for part in parts[1::2]]
        self._least = sum(map(len, parts[::2])) + sum(_WIDTHS.get(slot, 0) for slot in self._slots)
        self._at = self._places()

    @classmethod
    def of(cls, entry: Entry) -> Shape | None:
        """The shape of a valid entry (`parse_entry`); None where it has values of other kinds that differ each time."""
        record = entry.record
        times = {"presentation_timestamp", "signoff_timestamp"}
        if "system" in record or times & record.get("decisionSurface", {}).keys():
            return None
        parts = [b'{"payload":{']
        for name in sorted(record):
            texts = _member(name, record[name])
            parts[-1] += texts[0]
            parts += texts[1:]
            parts[-1] += b","
        parts[-1] = parts[-1][:-1] + b'},"previousHash":"sha256:'
        parts += [_MARKS[PREVIOUS], b'","timestamp":"', _MARKS[TIME], b'"}']
        return cls(entry, parts)

    def _places(self) -> list[_Slice]:
        """Where every part is: from the beginning up to the producer's sequence, whose length is free, then from the end."""
        places = []
        at, moves, ends = 0, 0, False
        for number, part in enumerate(self._parts):
            slot = _NAMES[part] if number % 2 else None
            width = len(part) if slot is None else _WIDTHS.get(slot, 0)
            if slot == SEQUENCE:
                rest = self._parts[number + 1 :]
                after = sum(
                    _WIDTHS[_NAMES[later]] if odd % 2 else len(later)
                    for odd, later in enumerate(rest)
                )
                places.append(_Slice(at, -after, (moves, 0)))
                at, moves, ends = -after, 0, True
                continue
            grows = int(slot == POSITION)
            end = at + width
            # Up to the very end: -0 would be the beginning.
            stop = end if not ends or end else 1 << 20
            places.append(_Slice(at, stop, (moves, moves + grows)))
            at, moves = end, moves + grows
        return places

    def likely(self, entry: bytes, width: int) -> bool:
        """Whether the text around the slots is this shape's; `width` of the position in digits."""
        return all(
            entry[place.of(width)] == part
            for place, part in zip(self._at[::2], self._parts[::2], strict=True)
        )

    def match(self, entries: Sequence[bytes], known: Known) -> Found | None:
        """The free values, if every entry is of this shape and holds what is known; None if one is not. HOT.

        Equal concatenations are equal entries, because each has the length of what it is compared with.
        """
        width = len(known.positions[0])
        least = self._least + width
        if SEQUENCE in self._slots:
            if min(map(len, entries)) <= least:
                return None
        elif set(map(len, entries)) != {least}:
            return None
        values: dict[str, Sequence[bytes]] = {
            POSITION: known.positions,
            ID: known.ids,
            PREVIOUS: known.previous,
            TIME: known.times,
        }
        parts = self._parts * len(entries)
        step = len(self._parts)
        for number, slot in enumerate(self._slots):
            at = 2 * number + 1
            value = values.get(slot)
            if value is None:
                place = self._at[at].of(width)
                values[slot] = value = [entry[place] for entry in entries]
            parts[at::step] = value
        if b"".join(parts) != b"".join(entries):
            return None
        if not all(_FORMS[slot](values[slot]) for slot in self._slots if slot in _FORMS):
            return None
        if not self._in_time(values.get(OCCURRED), known.ms):
            return None
        sequences = values.get(SEQUENCE)
        return Found(list(values[ROOT]), None if sequences is None else list(sequences))

    def _in_time(self, occurred: Sequence[bytes] | None, ms: Sequence[int]) -> bool:
        """Whether the client's times are times, and clockSkew is there exactly where they say so."""
        try:
            return occurred is None or all(
                (abs(parse_time(text.decode("ascii")) - log) > CLOCK_SKEW_MS) == self._skewed
                for text, log in zip(occurred, ms, strict=True)
            )
        except (InvalidInput, UnicodeDecodeError):
            return False


def _member(name: str, value: Any) -> list[bytes]:
    """The canonical text of one member, cut at its slot: [before, mark, after], or the text alone."""
    key = b'"%b":' % name.encode()
    if name == POSITION:
        return [key, _MARKS[name], b""]
    if name == ROOT:
        return [key + b'{"fields":%d,"root":"sha256:' % value["fields"], _MARKS[name], b'"}']
    if name == ID:
        return [key + b'"evt_', _MARKS[name], b'"']
    if name == OCCURRED:
        return [key + b'"', _MARKS[name], b'"']
    if name == SUBJECT:
        return [key + b'"sub_', _MARKS[name], b'"']
    if name == ACTOR and value["type"] == "USER":
        return [key + b'{"id":"usr_', _MARKS[name], b'","type":"USER"}']
    if name == SEQUENCE:
        return [key + b'{"id":%b,"sequence":' % canonical(value["id"]), _MARKS[name], b"}"]
    return [key + canonical(value)]


def _hex(values: Sequence[bytes]) -> bool:
    return not b"".join(values).translate(None, HEX)


def _pseudonyms(values: Sequence[bytes]) -> bool:
    return not b"".join(values).translate(None, _CROCKFORD) and all(
        value[0] in _FIRST for value in values
    )


def _sequences(values: Sequence[bytes]) -> bool:
    return all(
        value.isdigit()
        and value[:1] != b"0"
        and len(value) <= _WIDEST
        and int(value) <= MAX_INTEGER
        for value in values
    )


_FORMS: dict[str, Callable[[Sequence[bytes]], bool]] = {
    ROOT: _hex,
    SUBJECT: _pseudonyms,
    ACTOR: _pseudonyms,
    SEQUENCE: _sequences,
}
# A slot in a list of parts; no text of an entry is one of them, for these begin with a control character.
_MARKS = {name: b"\0" + name.encode() for name in chain(_WIDTHS, (POSITION, SEQUENCE))}
_NAMES = {mark: name for name, mark in _MARKS.items()}

"""What health answers, as Structs: of the log, and of each of its witnesses."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from tlog.api.answers import LogTime, Natural, SizeAt
from tlog.witnesses.keeper import STATUSES


class WitnessHealth(Struct, frozen=True, forbid_unknown_fields=True):
    """One witness of the policy: the root that it cosigned last, by its own clock, and how far that is behind."""

    name: str
    status: Annotated[str, Meta(extra_json_schema={"enum": list(STATUSES)})]
    tree_size: Natural
    timestamp: LogTime | None
    lag_leaves: Natural
    lag_seconds: Annotated[float, Meta(ge=0)]
    error: str | None


class Health(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether events are taken (`ok`), or why not. `workers`: front ends in processes of their own, if there are any."""

    status: Annotated[
        str, Meta(extra_json_schema={"enum": ["ok", "clock", "disk-full", "stopping", "failed"]})
    ]
    version: str
    origin: str
    vkey: str
    root: SizeAt
    published: SizeAt | None
    witnesses: list[WitnessHealth]
    waiting_events: Natural
    disk_free_bytes: Natural
    workers: Natural | UnsetType = UNSET
    workers_alive: Natural | UnsetType = UNSET

"""Proves that the code of SYEN's integration guide runs as it stands, sections 4 to 8: only the import line is changed and the
placeholders are filled in. Prints what the guide's code prints (pytest -s), and shows each value to be what the guide says.
"""

from __future__ import annotations

import asyncio
import builtins
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.client.server import CODE_HASH, TENANT, LogProcess
from tests.paths import REPOSITORY
from tlog.client import AuditClient, Proof, VerifyResult

GUIDE = REPOSITORY.parent / "shared/seeds/syen-audit-integration-guide.txt"
IMPORT = "from syen_audit import SYENAuditClient, EventClass"
OURS = "from tlog.client import SYENAuditClient, EventClass"


def sections() -> dict[int, str]:
    """The text of each section, by number."""
    if not GUIDE.exists():
        pytest.skip(f"no guide at {GUIDE}")
    parts = re.split(r"^(\d+)\. [A-Z ]+$", GUIDE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True)}


def code_of(section: str) -> str:
    """The Python lines of a section: from a statement on, while lines are indented, closing or statements too."""
    lines = []
    inside = False
    for line in section.splitlines():
        statement = re.match(r"(from |await |print\(|if |else:|client|receipt|result|proof)", line)
        inside = bool(statement) or (inside and re.match(r"( |\)|\}|#|$)", line) is not None)
        if inside:
            lines.append(line)
    return "\n".join(lines)


def filled(code: str, log: LogProcess) -> str:
    """The code with our import line and the reader's own values."""
    for placeholder, value in {
        IMPORT: OURS,
        "https://your-syen-audit-endpoint.com": log.url,
        "your-tenant-id": TENANT,
        "your-agent-name": "credit-decisions",
        "sha256-hash-of-your-agent-code": CODE_HASH,
        "your-tenant:prod-us-east-1:credit-decisions": f"{TENANT}:prod:credit-decisions",
    }.items():
        code = code.replace(placeholder, value)
    return code


def test_the_guide_runs(
    log: LogProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TLOG_API_KEY", log.api_key)
    monkeypatch.setenv("TLOG_VKEY", log.vkey)
    monkeypatch.setenv("TLOG_STATE", str(tmp_path))
    texts = sections()
    code = "\n".join(code_of(texts[number]) for number in range(4, 9))
    assert code.count("await client.ingest(") == 3
    for call in ("await client.attest()", "await client.verify(", "await client.get_proof("):
        assert code.count(call) == 1
    code = filled(code, log)
    assert "syen_audit" not in code
    assert "your-" not in code

    printed: list[Any] = []

    def show(value: Any) -> None:
        printed.append(value)
        builtins.print(value)

    scope: dict[str, Any] = {"print": show}
    program = (
        f"async def guide():\n{textwrap.indent(code, '    ')}\n    return client, result, proof\n"
    )
    exec(compile(program, GUIDE.name, "exec"), scope)

    async def run() -> tuple[AuditClient, VerifyResult, Proof]:
        client, result, proof = await scope["guide"]()
        await client.aclose()
        return client, result, proof

    client, result, proof = asyncio.run(run())
    event_id, sequence, flag, verified = printed
    assert re.fullmatch(r"evt_[0-9A-HJKMNP-TV-Z]{26}", event_id)
    assert sequence == 1
    assert flag is False  # three seconds for tier 2, whose threshold is two
    assert verified == "Chain verified: 4 events"  # three of the guide, and the stream's genesis
    assert isinstance(client, AuditClient)
    assert result.verified
    assert proof.verify().integrity.verdict == "pass"
    assert "app-991" not in str(proof.raw)
    assert (tmp_path / f"127.0.0.1_{log.port}").is_dir()

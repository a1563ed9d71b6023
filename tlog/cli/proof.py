"""proof verify: check a proof in any of its forms, offline. proof get: fetch one from a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tlog.core.timestamp_chain import Roots
    from tlog.verdicts import Verdicts

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
LIED = 5
FORMATS = ("json", "cose", "tlog-proof", "tlog-proof-head")


@click.group()
def proof() -> None:
    """Proofs: fetch them, and check them without the log.

    \b
    Example:
      tlog proof get evt_… --url https://log.example.com --stream acme:prod:scorer -o proof.json
      tlog proof verify proof.json --vkey log.example.com+97c8f29c+Aersd4VN…
    """


@proof.command("verify")
@click.argument("file", type=FILE)
@click.option(
    "--vkey",
    required=True,
    envvar="TLOG_VKEY",
    help="The log's vkey, from a source that you trust; or $TLOG_VKEY.",
)
@click.option(
    "--policy", type=FILE, help="C2SP tlog-policy file: which witnesses must have cosigned."
)
@click.option(
    "--tsa-roots", type=FILE, help="PEM file: roots of the timestamp authorities that you believe."
)
@click.option(
    "--entry",
    type=FILE,
    help="The entry, for a .tlog-proof or COSE receipt; or a file that has it.",
)
@click.option("--genesis", type=FILE, help="Leaf 0 of the stream: shows whose a private label is.")
@click.option("--head", type=FILE, help="Part head, beside part event or a COSE receipt.")
@click.option("--old", type=FILE, help="The older signed checkpoint, for a receipt of consistency.")
@click.option("--json", "as_json", is_flag=True, help="Print steps and verdicts as JSON.")
def verify(
    file: Path,
    vkey: str,
    policy: Path | None,
    tsa_roots: Path | None,
    entry: Path | None,
    genesis: Path | None,
    head: Path | None,
    old: Path | None,
    as_json: bool,
) -> int:
    """Check FILE offline, step by step, and report four verdicts: integrity, position, witnessed, time.

    FILE is a proof package, a receipt (the answer to POST /api/v1/events), the answer to a batch, a C2SP .tlog-proof
    or a COSE receipt; or a fork proof, which judges the log. Nothing is asked of the log or of anybody else. The vkey
    must not come from where the file comes from: whoever makes up a proof makes up a key as well.

    \b
    integrity   the entry is valid, unaltered, and leads to a head of its stream
    position    that head is in the root log, under a root that the log's key signed
    witnessed   the witnesses that the policy asks for cosigned that root
    time        the time that the log claims, and the time that somebody else proves

    A .tlog-proof and a COSE receipt hold no entry: give it with --entry, as its exact bytes or as the receipt or
    package that has it. They show the entry in its stream; the part head, given with --head, the stream in the log.

    \b
    Exit code 0: integrity and position are shown, and the witnesses if --policy asks for them.
    Exit code 1: something is wrong.
    Exit code 4: nothing is wrong and something is not shown: not published yet (fetch the package again
                 with ?wait=published), or not by this form of a proof.
    Exit code 5: a fork proof, and it holds: the log signed two things that cannot both be true.

    \b
    Examples:
      tlog proof verify proof.json --vkey "$(cat vkey)"
      tlog proof verify proof.json --vkey "$(cat vkey)" --policy policy.txt --json
      tlog proof verify event.tlog-proof --entry receipt.json --head head.tlog-proof --vkey "$(cat vkey)"
    """
    from tlog.core.policy import parse_policy
    from tlog.verdicts import Held, verify_file

    asked = None if policy is None else parse_policy(policy.read_bytes())
    held = Held(_entry(entry), _entry(genesis), _bytes(head), _bytes(old))
    verdicts = verify_file(file.read_bytes(), vkey, asked, held, _roots(tsa_roots))
    if as_json:
        click.echo(json.dumps(verdicts.as_json(), indent=2, ensure_ascii=False))
    else:
        _show(verdicts)
    return _exit_code(verdicts, witnesses_wanted=asked is not None and asked.quorum is not None)


def _roots(path: Path | None) -> Roots | None:
    if path is None:
        return None
    from tlog.core.timestamp import parse_roots

    return parse_roots(path.read_bytes())


def _exit_code(verdicts: Verdicts, *, witnesses_wanted: bool) -> int:
    if verdicts.fork:
        return LIED
    four = (verdicts.integrity, verdicts.position, verdicts.witnessed, verdicts.time)
    if any(one.verdict == "fail" for one in four):
        return 1
    witnessed = not witnesses_wanted or verdicts.witnessed.verdict == "pass"
    return 0 if verdicts.verified and witnessed else 4


def _show(verdicts: Verdicts) -> None:
    if verdicts.kind:
        click.echo(f"{verdicts.kind}:")
    for step in verdicts.steps:
        click.echo(f"  {step.line()}")
    click.echo()
    for line in verdicts.lines():
        click.echo(line)


def _bytes(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()


def _entry(path: Path | None) -> bytes | None:
    """The exact bytes of an entry: the file's, or those that a receipt or package holds in base64."""
    from tlog.core.strict_json import loads
    from tlog.core.wire import b64decode
    from tlog.errors import InvalidInput

    data = _bytes(path)
    try:
        document = loads(data or b"")
        held = document.get("entry") if isinstance(document, dict) else None
        return b64decode(held) if isinstance(held, str) else data
    except InvalidInput:
        return data


@proof.command("get")
@click.argument("event_id")
@click.option("--url", required=True, help="The log's address, such as https://log.example.com.")
@click.option("--stream", "stream_id", help="The stream of the event; needed with an API key.")
@click.option("--api-key", envvar="TLOG_API_KEY", help="With scope read; or $TLOG_API_KEY.")
@click.option("--token", envvar="TLOG_TOKEN", help="Instead of an API key; or $TLOG_TOKEN.")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="json", show_default=True,
    help="A package, a COSE receipt, or a part of a C2SP tlog-proof.",
)  # fmt: skip
@click.option("--wait", help="`published` or `witnessed`: until the root is, for some seconds.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Default: standard output.")
def get(
    event_id: str,
    url: str,
    stream_id: str | None,
    api_key: str | None,
    token: str | None,
    form: str,
    wait: str | None,
    output: Path | None,
) -> int:
    """Fetch the proof of EVENT_ID, as the server sends it. Nothing is verified here: `tlog proof verify` does.

    \b
    Examples:
      tlog proof get evt_… --url https://log.example.com --stream acme:prod:scorer --wait published -o proof.json
      tlog proof get evt_… --url https://log.example.com --token "$TOKEN" --format tlog-proof -o event.tlog-proof
    """
    from tlog.cli.fetch_proof import fetch_proof

    data = fetch_proof(url, event_id, form, wait, stream_id=stream_id, api_key=api_key, token=token)
    if output is None:
        click.echo(data, nl=False)
    else:
        output.write_bytes(data)
        click.echo(f"{output}: {len(data)} bytes, not verified yet", err=True)
    return 0

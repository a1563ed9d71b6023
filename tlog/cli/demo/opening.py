"""Chapter 1: a log, two witnesses that strangers run, a timestamp authority, and the policy that names them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tlog.cli.demo.front import HOST
from tlog.cli.demo.processes import Process, Processes, free_ports
from tlog.cli.demo.stage import Stage

ORIGIN = "demo.example"
TENANT = "clinic"
AGENT = "screening"
STREAM = f"{TENANT}:prod:{AGENT}"
#: Directory and name of each witness.
WITNESSES = {"regulator": "regulator.example/witness", "patients": "patients.example/witness"}
POLICY = "witnesses.policy"
AUTHORITY = "authority"
TSA_ROOTS = "tsa.pem"
#: Faster than in real life, so that a newcomer need not wait.
LOG_SETTINGS = {"TLOG_PUBLISH_INTERVAL": "0.5"}
WITNESS_SETTINGS = {"WITNESS_GOSSIP_INTERVAL": "1", "WITNESS_AUDIT_INTERVAL": "0.5"}


class Site:
    """Directories, addresses and processes. `open` sets everything up and starts it."""

    def __init__(self, stage: Stage, processes: Processes, port: int) -> None:
        self.stage = stage
        self.processes = processes
        self.home = stage.home
        self.log = stage.home / "log"
        self.policy = stage.home / POLICY
        ports = free_ports()
        self.port = port or next(ports)
        #: Each witness was told an address of its own for the log, as it may be anywhere where there are several.
        self.addresses = {name: next(ports) for name in WITNESSES}
        self.witness_ports = {name: next(ports) for name in WITNESSES}
        self.tsa_port = next(ports)
        self.spare_ports = {name: next(ports) for name in WITNESSES}
        self._audited: dict[str, str] = {}
        self.server: Process | None = None
        self.front: Process | None = None
        self.timestamps = shutil.which("openssl") is not None

    @property
    def url(self) -> str:
        """Where the log answers."""
        return f"http://{HOST}:{self.port}"

    def witness_url(self, name: str) -> str:
        """Where a witness answers."""
        return f"http://{HOST}:{self.witness_ports[name]}"

    def open(self) -> None:
        """From nothing to a log that two strangers watch. Raises: DemoError."""
        self._make_log()
        self._make_witnesses()
        self._make_policy()
        self._start()

    def _make_log(self) -> None:
        stage = self.stage
        stage.title("A log")
        vkey = stage.run("tlog", "init", self.log, "--origin", ORIGIN).strip()
        stage.names["$VKEY"] = vkey
        (self.home / "vkey").write_text(vkey + "\n")
        stage.line(vkey)
        stage.line("This is the log's vkey. Who knows it can check everything below, offline.")
        stage.names["$KEY"] = stage.run("tlog", "tenant", "create", self.log, TENANT).strip()
        stage.line(
            "This prints the API key of a clinic. The clinic's AI writes to the log with it."
        )

    def _make_witnesses(self) -> None:
        stage = self.stage
        stage.title(
            "Two witnesses: a regulator and a patients' association, who do not trust the log"
        )
        for name, full in WITNESSES.items():
            directory = self.home / name
            keys = stage.run("witness", "init", directory, "--name", full).split()
            stage.names[f"${name.upper()}"], self._audited[name] = keys
            (self.home / f"{name}.vkey").write_text(keys[0] + "\n")
            url = f"http://{HOST}:{self.addresses[name]}"
            stage.run("witness", "add-log", directory, "--url", url, "--vkey", "$VKEY")
        stage.line(
            "Each has keys of its own, and will cosign a head of the log only if the log just grew."
        )
        urls = {name: self.witness_url(name) for name in WITNESSES}
        for name in WITNESSES:
            peers = [url for other, url in urls.items() if other != name]
            _append(self.home / name / "witness.toml", f"peers = {json.dumps(peers)}")
        stage.line("They gossip: in witness.toml of each, `peers` names the other.")
        if self.timestamps:
            self._make_authority()
        else:
            stage.line(
                "openssl is not installed: no timestamp authority, and no anchor, is shown.",
                "yellow",
            )

    def _make_authority(self) -> None:
        """Keys and certificates come first: whoever believes the authority has its root in a file."""
        from tlog.cli.demo.tsa import Authority

        authority = Authority.create(self.home / AUTHORITY)
        shutil.copy(authority.root, self.home / TSA_ROOTS)
        shutil.copy(authority.root, self.home / "regulator" / TSA_ROOTS)
        shutil.copy(authority.root, self.log / TSA_ROOTS)
        tables = (
            f'[[tsa]]\nname = "demo"\nurl = "http://{HOST}:{self.tsa_port}/"\nroots = "{TSA_ROOTS}"'
        )
        _append(self.home / "regulator" / "witness.toml", tables)
        _append(self.log / "tlog.toml", f'tsa_roots = "{TSA_ROOTS}"')
        self.stage.line(
            "A timestamp authority, which is OpenSSL here, knows neither: it stamps hashes with the time."
        )
        self.stage.line(
            f"[[tsa]] in the regulator's witness.toml, and tsa_roots in tlog.toml, say that {TSA_ROOTS} is believed."
        )

    def _make_policy(self) -> None:
        stage = self.stage
        lines = [f"log {stage.names['$VKEY']}"]
        for name, full in WITNESSES.items():
            url = self.witness_url(name)
            said = stage.run("witness", "vkey", self.home / name, "--policy", "--url", url)
            lines.append(said.splitlines()[0])
            lines.append(f"witness {full}/audited {self._audited[name]} {url}/audited")
        lines += [f"group both all {' '.join(WITNESSES.values())}", "quorum both"]
        text = "".join(f"{line}\n" for line in lines)
        self.policy.write_text(text)
        (self.log / POLICY).write_text(text)
        _append(self.log / "tlog.toml", f'witness_policy = "{POLICY}"')
        stage.line(f"{self.policy}, which the log and every verifier have:")
        for line in lines:
            stage.line(f"    {line}")
        stage.line(
            "Both must cosign (`quorum both`). `…/audited` is the second key of a witness: more on it below."
        )

    def _start(self) -> None:
        stage = self.stage
        stage.title("Everything is started, each in a process of its own")
        running = []
        if self.timestamps:
            words = ["tlog.cli.demo.tsa", str(self.home / AUTHORITY), str(self.tsa_port)]
            running.append(stage.start(words, self.processes.start))
        for name, port in self.witness_ports.items():
            words = ["witness", "serve", str(self.home / name), "--listen", f"{HOST}:{port}"]
            running.append(stage.start(words, self.processes.start, **WITNESS_SETTINGS))
        for process in running:
            process.ready()
        self.server = self.serve(self.log, self.port)
        self.front = self.lead({name: self.port for name in WITNESSES})
        self.server.ready()
        self.front.ready()
        stage.line(
            f"The log answers at {self.url}, and at the two addresses that the witnesses were told."
        )

    def stop_log(self) -> None:
        """Stop the server of the log; the witnesses go on."""
        if self.server is not None:
            self.processes.stop(self.server)

    def serve(self, directory: Path, port: int, **settings: str) -> Process:
        """Start a log; wait for it with `ready`."""
        words = ["tlog", "serve", str(directory), "--listen", f"{HOST}:{port}"]
        return self.stage.start(words, self.processes.start, **LOG_SETTINGS, **settings)

    def lead(self, ports: dict[str, int]) -> Process:
        """Lead the address that each witness was told to the server at a port."""
        leads = [f"{self.addresses[name]}={port}" for name, port in ports.items()]
        return self.stage.start(["tlog.cli.demo.front", *leads], self.processes.start)


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(f"\n{text}\n")

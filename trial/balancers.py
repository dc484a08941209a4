"""Debian's nginx and HAProxy, each on a machine of its own, configured as docs/team.md prints it."""

import re
import signal
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import trustme
from bench import processes

from trial.network import Machine

ROOT: Final = Path(__file__).parents[1]
NAMES: Final = {"nginx": "gateway.example", "haproxy": "haproxy.example"}  # what people call each
_PAGE: Final = ROOT / "docs" / "team.md"
_SECTION: Final = "## Several gateways"
_AROUND_NGINX: Final = """
daemon off;
user root;
worker_processes 2;
pid {place}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 2048; }}
http {{
access_log off;
client_body_temp_path {place}/body;
proxy_temp_path {place}/proxy;
fastcgi_temp_path {place}/fastcgi;
scgi_temp_path {place}/scgi;
uwsgi_temp_path {place}/uwsgi;
{printed}
}}
"""


def printed(language: str, page: str) -> str:
    """Return the configuration that the page prints for several gateways."""
    section = page.partition(_SECTION)[2].partition("\n## ")[0]
    found = re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    if len(found) != 1:
        raise ValueError(f"docs/team.md has {len(found)} configurations of {language} under {_SECTION}, not one")
    return str(found[0])


class Certificates:
    """The balancers' certificate, and the CA that has signed it, in files."""

    def __init__(self, place: Path) -> None:
        authority = trustme.CA(organization_name="Example Ltd")
        issued = authority.issue_cert(*NAMES.values())
        self.ca_file = str(place / "ca.pem")
        authority.cert_pem.write_to_path(self.ca_file)
        files = {name: place / name for name in ("gateway.pem", "gateway.key", "both.pem")}
        for blob in issued.cert_chain_pems:
            blob.write_to_path(str(files["gateway.pem"]), append=True)
        issued.private_key_pem.write_to_path(str(files["gateway.key"]))
        issued.private_key_and_cert_chain_pem.write_to_path(str(files["both.pem"]))
        self.paths: Mapping[str, str] = {  # as the page names them, and where they are here
            "/etc/ssl/gateway.example.pem": str(files["gateway.pem"]),
            "/etc/ssl/private/gateway.example.key": str(files["gateway.key"]),
            "/etc/haproxy/gateway.example.pem": str(files["both.pem"]),
        }
        self.upstream = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("10.0.0.1").configure_cert(self.upstream)


class Balancer:
    """One that runs."""

    def __init__(self, name: str, machine: Machine, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.name = name
        self.machine = machine
        self.host = NAMES[name]
        self._process = process
        self._log = log
        self._reload = signal.SIGHUP if name == "nginx" else signal.SIGUSR2

    def reload(self) -> None:
        """Have it read its configuration again, as `systemctl reload` does."""
        assert self._process.poll() is None, self.log
        self._process.send_signal(self._reload)

    @property
    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text(errors="replace")

    def cpu(self) -> float:
        """Return the seconds of CPU that it has taken so far."""
        return processes.cpu_of_family(self._process.pid)

    def memory(self) -> float:
        """Return its memory, PSS in MB, of all its processes."""
        return sum(held.pss for held in map(processes.memory, processes.family(self._process.pid)) if held)


def command(name: str, place: Path, certificates: Certificates) -> Sequence[str]:
    """Write its configuration into a directory; return how it is run in the foreground."""
    text = printed(name, _PAGE.read_text())
    for path, here in certificates.paths.items():
        text = text.replace(path, here)
    file = place / f"{name}.cfg"
    file.write_text(_AROUND_NGINX.format(place=place, printed=text) if name == "nginx" else text)
    return {
        "nginx": ["nginx", "-p", str(place), "-e", "stderr", "-c", str(file)],
        "haproxy": ["haproxy", "-W", "-f", str(file)],
    }[name]


@contextmanager
def running(name: str, machine: Machine, place: Path, certificates: Certificates) -> Iterator[Balancer]:
    """Run one on its machine."""
    place.mkdir()
    log = place / "log"
    with log.open("ab") as output, _started(command(name, place, certificates), machine, output) as process:
        yield Balancer(name, machine, process, log)


@contextmanager
def _started(words: Sequence[str], machine: Machine, log: IO[bytes]) -> Iterator["subprocess.Popen[bytes]"]:
    with machine.here():
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield process
    finally:
        processes.stop(process)

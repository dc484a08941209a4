"""compose.yaml fits the specification, its balancer does what docs/team.md says, and nginx takes its file."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from claude_gatewayd.config import loading
from claude_gatewayd.system import shared_secret

ROOT: Final = Path(__file__).parents[3]
COMPOSE: Final = ROOT / "packaging" / "compose"
GATEWAYS: Final = ("gateway-1", "gateway-2")


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    return found


def check(file: Path) -> dict[str, Any]:
    """Return what check-jsonschema, which has the specification's schema, finds."""
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "-o", "json", str(file)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_fits_the_specification(tmp_path: Path) -> None:
    assert check(COMPOSE / "compose.yaml")["status"] == "ok"
    wrong = tmp_path / "compose.yaml"
    wrong.write_text((COMPOSE / "compose.yaml").read_text().replace("read_only:", "readonly:"))
    assert check(wrong)["status"] != "ok"


def test_every_container_has_as_few_rights_as_it_can() -> None:
    for name, service in compose()["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    assert {name for name, service in compose()["services"].items() if "ports" in service} == {"balancer"}


def test_what_is_named_is_there() -> None:
    found = compose()
    secrets = {
        one if isinstance(one, str) else one["source"]
        for service in found["services"].values()
        for one in service.get("secrets", [])
    }
    assert secrets == set(found["secrets"])
    volumes = {one.split(":")[0] for service in found["services"].values() for one in service.get("volumes", [])}
    assert {one for one in volumes if not one.startswith("./")} == set(found["volumes"])
    assert {one for one in volumes if one.startswith("./") and not (COMPOSE / one).exists()} == set()


def test_the_gateways_understand_their_configuration() -> None:
    for name in GATEWAYS:
        service = compose()["services"][name]
        environ = {key: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for key, value in service["environment"].items()}
        environ |= {"CLAUDE_GATEWAY_SHARED_URL": "postgresql://u:p@postgres/gateway", "HOME": "/nonexistent"}
        environ |= {"CLAUDE_GATEWAY_CONFIG": str(COMPOSE / "config.toml"), "CLAUDE_GATEWAY_LISTEN_REMOTE": "true"}
        config = loading.load(environ)
        minutes, seconds = map(int, re.findall(r"\d+", service["stop_grace_period"]))
        assert minutes * 60 + seconds >= config.listen.leave_after + config.listen.drain_timeout + 15
        (subnet,) = compose()["networks"]["inside"]["ipam"]["config"]
        assert [str(one) for one in config.listen.trusted_proxies] == [subnet["subnet"]]


def directives(text: str) -> list[str]:
    """Return the lines of nginx's configuration, but for names, paths and ports."""
    lines = (" ".join(line.split("#")[0].split()) for line in text.splitlines())
    return [
        line for line in lines if line and not re.match(r"server (?!\{)|listen |server_name |ssl_certificate", line)
    ]


def test_the_balancer_does_what_the_page_says() -> None:
    page = (ROOT / "docs" / "team.md").read_text()
    blocks = [one for one in re.findall(r"```nginx\n(.*?)```", page, re.DOTALL) if "least_conn" in one]
    assert directives((COMPOSE / "nginx.conf").read_text()) == directives(blocks[0])


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to a container's user")
def test_the_secrets_are_made_once_and_nginx_takes_the_certificate(tmp_path: Path) -> None:
    for file in ("make-secrets", "nginx.conf"):
        shutil.copy(COMPOSE / file, tmp_path)
    subprocess.run([tmp_path / "make-secrets", "gateway.test"], check=True, timeout=60)
    secrets = tmp_path / "secrets"
    named = {Path(one["file"]).name for one in compose()["secrets"].values()} | {"database.env"}
    before = {one.name: one.read_bytes() for one in secrets.iterdir()}
    assert set(before) == named
    assert {stat.S_IMODE(one.stat().st_mode) for one in secrets.iterdir()} == {0o600}
    assert len(shared_secret.read(secrets / "shared.secret")) >= 32
    subprocess.run([tmp_path / "make-secrets"], check=True, timeout=60)
    assert {one.name: one.read_bytes() for one in secrets.iterdir()} == before

    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed")
    text = (tmp_path / "nginx.conf").read_text()
    for name, file in (("tls_certificate", "tls.pem"), ("tls_key", "tls.key")):
        text = text.replace(f"/run/secrets/{name}", str(secrets / file))
    for gateway in GATEWAYS:
        text = text.replace(gateway, "127.0.0.1", 1)
    whole = tmp_path / "whole.conf"
    whole.write_text(f"pid {tmp_path}/pid;\nevents {{ }}\nhttp {{ access_log off;\n{text}}}\n")
    done = subprocess.run(
        ["nginx", "-t", "-c", whole, "-e", "stderr"], capture_output=True, text=True, timeout=30, check=False
    )
    assert "test is successful" in done.stderr, done.stderr

"""What config.toml and the environment may say, and what a person is told when they say something else."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claude_gatewayd.bedrock import models as bedrock_models
from claude_gatewayd.config import values as config_values
from claude_gatewayd.config.keys import KEYS, TABLES
from claude_gatewayd.config.loading import effective, listen_address_or_default, load
from claude_gatewayd.config.model import Anthropic, Config, LedgerConfig, Listen, Log, Network, Router
from claude_gatewayd.errors import ConfigInvalid
from claude_gatewayd.paths import config_path
from claude_gatewayd.problem import Problem
from claude_gatewayd.worker.gateway.lanes import policy

DOCS = Path(__file__).parents[3] / "docs/configuration.md"


class Place:
    """A home directory with a configuration file."""

    def __init__(self, home: Path) -> None:
        self.environ = {"HOME": str(home), "CLAUDE_GATEWAY_CONFIG": str(home / "config.toml")}
        self.file = home / "config.toml"
        self.file.touch()

    def load(self, text: str | bytes = "", **environ: str) -> Config:
        self.file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(self.environ | environ)

    def problems(self, text: str | bytes = "", **environ: str) -> tuple[Problem, ...]:
        with pytest.raises(ConfigInvalid) as caught:
            self.load(text, **environ)
        return caught.value.problems

    def problem(self, text: str | bytes = "", **environ: str) -> Problem:
        (problem,) = self.problems(text, **environ)
        return problem


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def got(config: Config, section: str, key: str) -> object:
    return getattr(getattr(config, section), key)


# where a value comes from


def test_defaults_without_a_file(tmp_path: Path) -> None:
    config = load({"HOME": str(tmp_path)})
    assert config == Config()
    assert (config.listen.host, config.listen.port, config.source) == ("127.0.0.1", 47000, None)


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "[listen]\n", "\ufeff"])
def test_defaults_with_an_empty_file(place: Place, text: str) -> None:
    assert place.load(text) == Config(source=place.file)


def test_the_usual_file(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "c")}
    file = config_path(environ)
    file.parent.mkdir(parents=True)
    file.write_text("listen.port = 4711")
    assert load(environ) == Config(Listen(port=4711), source=file)


def test_everything(place: Place) -> None:
    ca_file = place.file.with_name("ca.pem")
    ca_file.touch()
    config = place.load(
        """
        [listen]
        host = "0.0.0.0"
        port = 1
        hosts = ["Gateway.Example", "::1"]
        remote = true
        drain_timeout = 0
        trusted_proxies = ["10.0.0.0/8", "fd00::1"]
        leave_after = 7
        workers = 3
        max_body = "10MB"
        [anthropic]
        base_url = "https://Example.com/prefix/"
        connect_timeout = 0.5
        first_byte_timeout = 1
        response_timeout = 86400
        accept = ["api_key"]
        proxy = "http://me:secret@proxy.example:3128/"
        ca_file = "~/ca.pem"
        [router]
        num_retries = 0
        timeout = 1
        allowed_fails = 100
        cooldown_time = 1
        retry_after = 0
        [log]
        level = "debug"
        [aliases]
        best = "claude-opus-4-6"
        "a.b" = "claude-haiku-4-5"
        """
    )
    assert config.listen == Listen(
        host="0.0.0.0",
        port=1,
        hosts=("gateway.example", "::1"),
        remote=True,
        trusted_proxies=("10.0.0.0/8", "fd00::1/128"),
        drain_timeout=0.0,
        leave_after=7.0,
        workers=3,
        max_body=10_000_000,
    )
    assert config.anthropic.base_url == "https://Example.com/prefix"
    assert config.anthropic.proxy == "http://me:secret@proxy.example:3128"
    assert config.anthropic.ca_file == str(ca_file)
    assert config.anthropic.accept == {"api_key"}
    assert config.router == Router(0, 1.0, 100, 1.0, 0.0)
    assert config.log == Log("debug")
    assert config.aliases == {"best": "claude-opus-4-6", "a.b": "claude-haiku-4-5"}
    assert type(config.listen.drain_timeout) is float
    assert "me:secret" not in repr(config)


@pytest.mark.parametrize(
    ("text", "environ", "port"),
    [
        ("", {}, 47000),
        ("[listen]\nport = 1", {}, 1),
        ("[listen]\nport = 1", {"LITELLM_PORT": "2"}, 2),
        ("[listen]\nport = 1", {"LITELLM_PORT": "2", "CLAUDE_GATEWAY_LISTEN_PORT": "3"}, 3),
        ("[listen]\nport = 1", {"LITELLM_PORT": "", "CLAUDE_GATEWAY_LISTEN_PORT": " "}, 1),
        ("[listen]\nport = 'x'", {"LITELLM_PORT": "y", "CLAUDE_GATEWAY_LISTEN_PORT": "3"}, 3),
    ],
)
def test_the_strongest_source_wins(place: Place, text: str, environ: dict[str, str], port: int) -> None:
    assert place.load(text, **environ).listen.port == port


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("listen_host", "localhost", "localhost"),
        ("listen_host", "::1", "::1"),
        ("listen_port", " 8080 ", 8080),
        ("listen_hosts", "a.example, B.example,", ("a.example", "b.example")),
        ("listen_hosts", '["a.example", "b.example"]', ("a.example", "b.example")),
        ("listen_hosts", "[]", ()),
        *(("listen_remote", text, True) for text in ("true", "1", "yes", "on", "TRUE")),
        *(("listen_remote", text, False) for text in ("false", "0", "no", "off")),
        ("listen_drain_timeout", "0", 0.0),
        ("listen_max_body", "1048576", 2**20),
        ("listen_max_body", "512 KiB", 2**19),
        ("anthropic_base_url", "http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("anthropic_connect_timeout", "2.5", 2.5),
        ("anthropic_proxy", "none", "none"),
        ("router_num_retries", "7", 7),
        ("sso_warn_before", "30, 5,90", (90, 30, 5)),
        ("sso_warn_before", "[10]", (10,)),
        ("sso_warn_before", "[]", ()),
        ("notify_enabled", "no", False),
        ("notify_command", "echo 'it is \"so\"' >~/x", "echo 'it is \"so\"' >~/x"),
        ("log_level", "WARNING", "warning"),
    ],
)
def test_environment(place: Place, name: str, text: str, value: object) -> None:
    config = place.load(**{f"CLAUDE_GATEWAY_{name.upper()}": text})
    assert got(config, *name.split("_", 1)) == value


def test_variables_of_others_are_not_ours(place: Place) -> None:
    assert place.load(CLAUDE_GATEWAY_ALLOW_LOOPBACK="1", CLAUDE_GATEWAY_LOGIN="x", CLAUDE_GATEWAY_LISTEN="x")


# values one by one: what is taken, what is refused

GOOD = [
    ("listen", "host", '"127.0.0.2"', "127.0.0.2"),
    ("listen", "host", '"LocalHost"', "localhost"),
    ("listen", "port", "65535", 65535),
    ("listen", "hosts", '["my_host", "192.168.1.1", "a-b.c"]', ("my_host", "192.168.1.1", "a-b.c")),
    ("listen", "max_body", "1024", 1024),
    ("listen", "max_body", '"1 GiB"', 2**30),
    ("listen", "max_body", '"64MiB"', 64 * 2**20),
    ("anthropic", "base_url", '"https://api.anthropic.com:8443"', "https://api.anthropic.com:8443"),
    ("anthropic", "base_url", '"http://localhost:8000"', "http://localhost:8000"),
    ("anthropic", "base_url", '"http://[::1]:8000/a/"', "http://[::1]:8000/a"),
    ("anthropic", "base_url", '"https://gateway.internal/@v1"', "https://gateway.internal/@v1"),
    ("anthropic", "base_url", '"http://127.0.0.2:47000"', "http://127.0.0.2:47000"),
    ("anthropic", "proxy", '""', ""),
    ("anthropic", "proxy", '"https://p"', "https://p"),
    ("network", "proxy", '"socks5h://me:secret@p:1080"', "socks5h://me:secret@p:1080"),
    ("anthropic", "ca_file", '""', ""),
    ("sso", "warn_before", "[5, 60, 5]", (60, 5)),
    ("sso", "warn_before", "[]", ()),
    ("sso", "warn_before", "[1, 1440]", (1440, 1)),
    ("notify", "enabled", "false", False),
    ("ledger", "url", '""', ""),
    *(
        ("ledger", "url", f'"{url}"', url)
        for url in (
            "postgresql://litellm:litellm@localhost:47432/litellm",
            "postgres://db.example/name",
            "postgresql:///mine",
            "postgresql+psycopg://me:p%40ss%2F@[::1]:1/name?sslmode=require&application_name=x",
        )
    ),
    ("ledger", "keep_days", "0", 0),
    ("notify", "command", "'echo \"$HOME\"'", 'echo "$HOME"'),
]


@pytest.mark.parametrize(("section", "key", "text", "value"), GOOD)
def test_good_values(place: Place, section: str, key: str, text: str, value: object) -> None:
    assert got(place.load(f"[{section}]\n{key} = {text}"), section, key) == value


BAD = [
    *(
        ("ledger", "url", f'"{url}"', "must be the URL of a PostgreSQL")
        for url in (
            "sqlite:///x.db",
            "mysql://h/db",
            "localhost:5432/db",
            "postgresql://h",
            "postgresql://h:0x/db",
            "postgresql://h/",
            "postgresql://me:p/ss@h/db",
            "postgresql://me:p#ss@h/db",
            "postgresql://me:p@ss@h/db",
            "postgresql://a b/db",
            "postgresql://:5432/db",
            "postgresql://h/a/b",
            "postgresql://[h/db",
        )
    ),
    ("ledger", "url", '"postgresql://h/db?user=me&password=x"', "must have the password before the host"),
    ("ledger", "url", '"postgresql://h/db?pass%77ord=x"', "must have the password before the host"),
    ("ledger", "url", '"host=h password=s3cret dbname=x"', 'not "host=h password=*** dbname=x"'),
    ("ledger", "keep_days", "-1", "whole number"),
    ("ledger", "keep_days", "1.5", "whole number"),
    *(("listen", "host", t, "IP address") for t in ('"example.com"', '""', "1", '"127.0.0.1:80"', '"fe80::1%x"')),
    *(("listen", "host", t, "loopback") for t in ('"0.0.0.0"', '"::"', '"192.168.1.1"')),
    *(("listen", "port", t, "from 1 to 65535") for t in ("0", "65536", "-1", "true", "1.0", '"abc"', "[]", "{}")),
    ("listen", "port", "1979-05-27", "not 1979-05-27"),
    ("listen", "port", "0x" + "f" * 5000, "a number of that size"),
    *(("listen", "hosts", t, "list of host names") for t in ('"a.example"', "[1]", '["a:80"]', '["http://a"]')),
    *(("listen", "hosts", t, "list of host names") for t in ('["a/b"]', '[""]', '["*"]', '["-a"]', '["fe80::1%/"]')),
    *(
        ("listen", "trusted_proxies", t, "list of addresses and networks")
        for t in ('"10.0.0.1"', "[1]", '["a.example"]')
    ),
    ("listen", "trusted_proxies", '["10.0.0.1/8"]', "must be a network, 10.0.0.0/8, not"),
    *(("listen", "trusted_proxies", f'["{t}"]', "anybody's X-Forwarded-For") for t in ("0.0.0.0/0", "::/0")),
    ("listen", "trusted_proxies", '["10.0.0.1"]', "has no use as long as remote is not true"),
    *(("listen", "remote", t, "true or false") for t in ("1", '"true"', "[]")),
    *(("listen", "drain_timeout", t, "seconds") for t in ("-1", "86401", "inf", "nan", "true", '"1"')),
    *(
        ("listen", "max_body", t, "a size")
        for t in ('"1kb"', "1023", "1073741825", "true", '"1.5 MiB"', '"64 XB"', '"-1"', "2e6")
    ),
    *(("anthropic", "connect_timeout", t, "above 0") for t in ("0", "-0.0", "-1", "86400.5", "inf", "nan", "true")),
    *(("anthropic", "base_url", t, "URL") for t in ('""', '"api.anthropic.com"', '"ftp://a"', '"https://"', "1")),
    *(
        ("anthropic", "base_url", t, "URL")
        for t in ('"https://a?x"', '"https://a#x"', '"https://a b"', '"https://[a]"')
    ),
    *(
        ("anthropic", "base_url", t, "URL")
        for t in ('"https://a:99999"', '"https://a:0"', '"https://a:b"', '"https://é"')
    ),
    *(("anthropic", "base_url", t, "URL") for t in (r'"https://a\\@b"', r'"https://a\nb"', '"https://u@a"')),
    *(("anthropic", "base_url", t, "https://") for t in ('"http://api.anthropic.com"', '"http://192.168.1.1"')),
    *(("anthropic", "base_url", t, "itself") for t in ('"http://127.0.0.1:47000"', '"http://localhost:47000/x"')),
    *(("anthropic", "proxy", t, "URL") for t in ('"ftp://a"', '"a:1"', '"http://a/b"', '"None"', "false")),
    *(("anthropic", "ca_file", t, "no such file") for t in ('"/no/such/file"', '"~/nothing"')),
    ("network", "ca_file", '"/no/such/file"', "no such file"),
    ("network", "proxy", '"proxy.example:3128"', "URL"),
    ("anthropic", "ca_file", '"/"', "is a directory"),
    ("anthropic", "ca_file", '"ca.pem"', "a path from /"),
    ("anthropic", "ca_file", '"/\\u0000"', "cannot be read"),
    ("anthropic", "ca_file", "1", "text in quotes"),
    *(("router", "num_retries", t, "from 0 to 100") for t in ("-1", "101", "true", "1.5")),
    *(("sso", "warn_before", t, "whole numbers of minutes") for t in ("5", "[0]", "[1441]", "[1.5]", "[true]")),
    *(("sso", "warn_before", t, "whole numbers of minutes") for t in ('["soon"]', "[[5]]", str(list(range(1, 12))))),
    ("notify", "enabled", '"no"', "true or false"),
    *(("notify", "command", t, "text in quotes") for t in ("true", '["echo"]')),
    *(("log", "level", t, "one of debug") for t in ('"loud"', "1", '""', "true")),
    *(("aliases", "a", t, "name of a model") for t in ('""', "1", '" "', "{}")),
    ("aliases", "a", '"a"', "itself"),
]


@pytest.mark.parametrize(("section", "key", "text", "message"), BAD)
def test_bad_values(place: Place, section: str, key: str, text: str, message: str) -> None:
    problem = place.problem(f"# a comment\n[{section}]\n{key} = {text}\n")
    assert problem.where == f"{place.file}:3 [{section}] {key}"
    assert message in problem.message
    assert problem.hint
    assert "\n" not in problem.message


@pytest.mark.parametrize(
    ("listen", "base_url", "loops"),
    [
        ("port = 8000", "http://127.0.0.1:8000", True),
        ("port = 8000", "http://127.0.0.1:47000", False),
        ("port = 80", "http://127.0.0.1", True),
        ("port = 443", "https://localhost", True),
        ('host = "localhost"', "http://[::1]:47000", True),
        ('host = "0.0.0.0"\nremote = true', "http://127.0.0.5:47000", True),
        ('host = "0.0.0.0"\nremote = true', "https://api.example:47000", False),
        ('hosts = ["gateway.example"]', "https://Gateway.example:47000", True),
        ('hosts = ["gateway.example"]', "https://gateway.example", False),
        ('hosts = ["api.anthropic.com"]\nport = 443', "https://api.anthropic.com/", True),
    ],
)
def test_requests_never_come_back_to_us(place: Place, listen: str, base_url: str, loops: bool) -> None:
    text = f'[listen]\n{listen}\n[anthropic]\nbase_url = "{base_url}"\n'
    if loops:
        assert place.problem(text).message == "must not be the address that the gateway itself listens on"
    else:
        assert place.load(text).anthropic.base_url == base_url


def test_a_default_is_never_at_fault(place: Place) -> None:
    assert place.load('listen = {hosts = ["api.anthropic.com"], port = 443}')


@pytest.mark.parametrize(
    ("name", "text", "message", "hint"),
    [
        ("LITELLM_PORT", "abc", 'must be a whole number from 1 to 65535, not "abc"', "LITELLM_PORT=47000"),
        ("LITELLM_PORT", "9" * 5000, "must be a whole", "LITELLM_PORT=47000"),
        ("CLAUDE_GATEWAY_LISTEN_PORT", "8080.5", "not 8080.5", "CLAUDE_GATEWAY_LISTEN_PORT=47000"),
        ("CLAUDE_GATEWAY_LISTEN_HOSTS", "[", 'not "["', "CLAUDE_GATEWAY_LISTEN_HOSTS=gateway.example"),
        (
            "CLAUDE_GATEWAY_LISTEN_HOSTS",
            "[" * 9999,
            "must be a list",
            "CLAUDE_GATEWAY_LISTEN_HOSTS=gateway.example",
        ),
        ("CLAUDE_GATEWAY_LISTEN_REMOTE", "maybe", "true or false", "CLAUDE_GATEWAY_LISTEN_REMOTE=false"),
        ("CLAUDE_GATEWAY_LISTEN_HOST", "0.0.0.0", "must be a loopback address", "set `remote = true`"),
        ("CLAUDE_GATEWAY_LOG_LEVEL", "warn", "one of", 'did you mean "warning"?'),
        ("CLAUDE_GATEWAY_LISTEN_PROT", "1", "is not a known", 'did you mean "CLAUDE_GATEWAY_LISTEN_PORT"?'),
        ("CLAUDE_GATEWAY_ALIASES_BEST", "x", "is not a known", "in the file only"),
    ],
)
def test_problems_of_the_environment(place: Place, name: str, text: str, message: str, hint: str) -> None:
    problem = place.problem(**{name: text})
    assert problem.where == f"environment {name}"
    assert message in problem.message
    assert hint in problem.hint
    assert len(problem.message) < 200


@pytest.mark.parametrize(
    ("text", "where", "message", "hint"),
    [
        ("[listen]\nmax_boby = 1", "2 [listen] max_boby", "is not a known key", 'did you mean "max_body"?'),
        (
            "[listen]\nnum_retries = 1",
            "2 [listen] num_retries",
            "is not a known key",
            "it belongs to [router]",
        ),
        ("[log]\nzzz = 1", "2 [log] zzz", "is not a known key", "keys of [log]: level"),
        ("\n[listne]\nport = 1", "2 [listne]", "is not a known section", 'did you mean "listen"?'),
        (
            "[zzz]",
            "1 [zzz]",
            "is not a known section",
            "sections: listen, anthropic, network, router, bedrock, litellm, sso, notify, ledger, shared, "
            "metrics, dashboard, keys, log, aliases",
        ),
        ("port = 1", "1 port", "is outside of a section", "write it below [listen]"),
        ("zzz = 1", "1 zzz", "is outside of a section", "sections: listen"),
        ("listen = 1", "1 listen", "must be a section, not 1", "[listen]"),
        ("[[listen]]", "1 listen", "must be a section, not a list", "[listen]"),
        ("aliases = 1", "1 aliases", "must be a section, not 1", "[aliases]"),
        ("[aliases]\na = 'b'\nb = 'c'", "2 [aliases] a", 'points at "b", which is an alias too', "itself"),
        ("[aliases]\na.b = 'c'", "2 [aliases] a", "not a section", 'quotes too: "my.model"'),
        ("[aliases]\n'a.b' = 1", "2 [aliases] a.b", "not 1", "quotes"),
    ],
)
def test_problems_of_names(place: Place, text: str, where: str, message: str, hint: str) -> None:
    problem = place.problem(text)
    assert problem.where == f"{place.file}:{where}"
    assert message in problem.message
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[listen]\nport = 0", ":2"),
        ("[router]\n\n[ listen ] # here\n\n  'port'=0", ":5"),
        ("# port = 1\r\n[listen]\r\nport = 0\r\n", ":3"),
        ("\nlisten.port = 0", ":2"),
        ("\nlisten . 'port' = 0", ":2"),
        ("\nlisten = {port = 0}", ":2"),
        ("[listen]\nhosts = [\n  'port',\n]\nport = 0", ":5"),
        ("['li\\u0073ten']\nport = 0".replace("'", '"'), ""),
    ],
)
def test_lines(place: Place, text: str, line: str) -> None:
    assert place.problem(text).where == f"{place.file}{line} [listen] port"


def test_all_problems_at_once(place: Place) -> None:
    problems = place.problems(
        '[listen]\nport = 0\nhost = "0.0.0.0"\nfoo = 1\n[bar]\n[log]\nlevel = "x"\n[aliases]\na = "a"\n',
        CLAUDE_GATEWAY_ROUTER_TIMEOUT="soon",
        CLAUDE_GATEWAY_LISTEN_FOO="1",
    )
    assert sorted(problem.where.removeprefix(f"{place.file}:") for problem in problems) == [
        "2 [listen] port",
        "3 [listen] host",
        "4 [listen] foo",
        "5 [bar]",
        "7 [log] level",
        "9 [aliases] a",
        "environment CLAUDE_GATEWAY_LISTEN_FOO",
        "environment CLAUDE_GATEWAY_ROUTER_TIMEOUT",
    ]


@pytest.mark.parametrize(
    "value",
    [
        "mysql://me:secret@h/db",
        "postgresql://me:se/cret@h/db",
        "postgresql://me:se@cret@h/db",
        "postgresql://me:se#cret@h/db",
        "postgresql://h/db?password=secret",
        "postgresql://h/db?user=me&sslpassword=secret",
    ],
)
def test_a_password_of_the_ledger_is_not_shown(place: Place, value: str) -> None:
    for problem in (place.problem(f'[ledger]\nurl = "{value}"'), place.problem(CLAUDE_GATEWAY_LEDGER_URL=value)):
        assert "cret" not in str(problem)
    assert "me:secret" not in repr(place.load("[ledger]\nurl = 'postgresql://me:secret@h/db'"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("proxy", "ftp://me:se@cret@proxy.example:1"),
        ("proxy", "me:secret@proxy.example"),
        ("proxy", "http://me:secret/@proxy.example"),
        ("proxy", "http://me:secret@proxy.example/x"),
        ("proxy", r"http://me:secret\n@proxy.example"),
        ("base_url", "https://me:secret@api.example"),
        ("base_url", "http://me:secret@api.example"),
        ("ca_file", "http://me:secret@api.example"),
    ],
)
def test_passwords_are_not_shown(place: Place, key: str, value: str) -> None:
    for problem in (
        place.problem(f'[anthropic]\n{key} = "{value}"'),
        place.problem(**{f"CLAUDE_GATEWAY_ANTHROPIC_{key.upper()}": value}),
    ):
        assert "secret" not in str(problem)
        assert "cret" not in str(problem)
        assert "***@" in problem.message


# the file itself


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("[listen]\nport = abc\n", 2, "is not TOML at line 2, column 8: invalid value"),
        ("a = 1\na = 2\n", 2, "is not TOML at line 2, column 6: cannot overwrite a value"),
        ("[listen]\nhosts = [\n", 3, "is not TOML at line 3, column 1: "),
        ("\n\nport", 3, "is not TOML at line 3, column 5: "),
        (b"\n\xff\n", 2, "is not UTF-8 text"),
        ("a = " + "9" * 5000, None, "cannot be read: "),
        ("a = " + "[" * 5000, None, "cannot be read: "),
    ],
)
def test_not_toml(place: Place, text: str | bytes, line: int | None, message: str) -> None:
    problem = place.problem(text)
    assert problem.where == (f"{place.file}:{line}" if line else str(place.file))
    assert problem.message.startswith(message)
    assert problem.hint


def test_a_named_file_must_exist(place: Place) -> None:
    problem = place.problem(CLAUDE_GATEWAY_CONFIG="~/other.toml")
    assert problem.where == "environment CLAUDE_GATEWAY_CONFIG"
    assert problem.message == f"names {place.file.with_name('other.toml')}, which does not exist"
    assert problem.hint


@pytest.mark.parametrize(
    ("named", "message"),
    [("~", "is a directory"), ("~/config.toml/x", "not a directory"), ("\0", "null byte")],
)
def test_no_file_to_read(place: Place, named: str, message: str) -> None:
    problem = place.problem(CLAUDE_GATEWAY_CONFIG=named)
    assert problem.message.startswith("cannot be read: ")
    assert message in problem.message
    assert problem.hint


@pytest.mark.skipif(os.getuid() == 0, reason="root may read anything")
def test_a_file_that_may_not_be_read(place: Place) -> None:
    place.file.chmod(0)
    with pytest.raises(ConfigInvalid, match="permission denied"):
        load(place.environ)


# the address to answer on when all else is wrong


@pytest.mark.parametrize(
    ("text", "environ", "expected"),
    [
        ("", {}, ("127.0.0.1", 47000)),
        ("[listen]\nport = 8000\nhost = '::1'", {}, ("::1", 8000)),
        ("[listen]\nport = 8000\n[log]\nlevel = 'loud'", {}, ("127.0.0.1", 8000)),
        ("[listen]\nport = 0\nhost = '::1'", {}, ("::1", 47000)),
        ("[listen]\nport = 8000\nhost = '0.0.0.0'", {}, ("127.0.0.1", 8000)),
        ("[listen]\nport = 8000\nhost = '0.0.0.0'\nremote = true\nfoo = 1", {}, ("0.0.0.0", 8000)),
        ("[listen", {}, ("127.0.0.1", 47000)),
        ("[listen", {"LITELLM_PORT": "8001"}, ("127.0.0.1", 8001)),
        ("listen = 1", {}, ("127.0.0.1", 47000)),
        ("", {"CLAUDE_GATEWAY_CONFIG": "/no/such/file"}, ("127.0.0.1", 47000)),
    ],
)
def test_listen_address(place: Place, text: str, environ: dict[str, str], expected: tuple[str, int]) -> None:
    place.file.write_text(text)
    assert listen_address_or_default(place.environ | environ) == expected


# anything at all

names = st.sampled_from(
    [*sorted({key.section for key in KEYS}), *(key.name for key in KEYS), "aliases", "models", "fallbacks", "x", "a.b"]
)
scalars = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(["127.0.0.1", "0.0.0.0", "localhost", "http://[::1", "https://a:b@c", "64 MiB", "none", "info"]),
)
values = st.one_of(scalars, st.lists(scalars, max_size=3))
tables = st.dictionaries(names, st.one_of(values, st.dictionaries(names, values, max_size=3)), max_size=8)
documents = st.dictionaries(names, st.one_of(scalars, tables), max_size=5)
variables = st.sampled_from(
    [v for key in KEYS for v in key.variables]
    + ["CLAUDE_GATEWAY_LISTEN_X", "CLAUDE_GATEWAY_ALIASES_X", "CLAUDE_GATEWAY_BEDROCK_MODELS", "AWS_ENDPOINT_URL"]
)
environs = st.dictionaries(variables, st.one_of(st.text(), scalars.map(str)), max_size=6)


# hypothesis works out its table of Unicode within the first run
anything = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def as_toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return '"' + "".join(f"\\U{ord(character):08x}" for character in value) + '"'
        case list():
            return "[" + ", ".join(map(as_toml, value)) + "]"
        case dict():
            return "{" + ", ".join(f'"{name}" = {as_toml(item)}' for name, item in value.items()) + "}"
        case _:
            return repr(value)


def outcome(environ: dict[str, str]) -> tuple[Listen | None, tuple[Problem, ...]]:
    try:
        return load(environ).listen, ()
    except ConfigInvalid as error:
        return None, error.problems


def config_or_problems(file: Path, environ: dict[str, str]) -> None:
    environ = environ | {"HOME": str(file.parent), "CLAUDE_GATEWAY_CONFIG": str(file)}
    host, port = listen_address_or_default(environ)
    listen, problems = outcome(environ)
    assert (listen is None) == (len(problems) > 0)
    assert listen is None or (listen.host, listen.port) == (host, port)
    assert all(problem.where and problem.message and problem.hint for problem in problems)
    assert host
    assert 1 <= port <= 65535


@pytest.fixture(scope="module")
def any_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config") / "config.toml"


@anything
@given(document=documents, environ=environs)
def test_any_document(any_file: Path, document: dict[str, Any], environ: dict[str, str]) -> None:
    any_file.write_text("\n".join(f'"{name}" = {as_toml(value)}' for name, value in document.items()))
    config_or_problems(any_file, environ)


@anything
@given(content=st.one_of(st.binary(), st.text(st.sampled_from("[]{}=\"'.,\\#\n listenport0128")).map(str.encode)))
def test_any_file(any_file: Path, content: bytes) -> None:
    any_file.write_bytes(content)
    config_or_problems(any_file, {})


# what is written about it


def test_what_may_hold_a_password_is_not_in_a_text_of_the_configuration() -> None:
    url = "http://alice:geheim@host/"
    config = Config(anthropic=Anthropic(proxy=url), network=Network(proxy=url), ledger=LedgerConfig(url=url))
    assert "geheim" not in f"{config} {config!r} {config.ledger} {config.network} {config.anthropic}"
    assert "keep_days=365" in repr(config)


def test_every_key_has_a_place_in_config() -> None:
    config = Config()
    fields = {
        (name, key)
        for name, section in config._asdict().items()
        if hasattr(section, "_fields")
        for key in section._fields
    }
    tables = {tuple(table.split(".")) for table in TABLES if "." in table}
    assert {(key.section, key.name) for key in KEYS} | tables == fields
    assert len(KEYS) + len(tables) == len(fields)


_SHARED = """[shared]
url = "postgresql://gateway:p4ss@db.example:5432/gateway"
secret_file = "~/shared.secret"
"""


def test_what_is_shared_is_in_the_ledger_s_database(place: Place) -> None:
    config = place.load(_SHARED)
    assert config.ledger.url == config.shared.url == "postgresql://gateway:p4ss@db.example:5432/gateway"
    assert config.shared.secret_file == str(place.file.with_name("shared.secret"))
    assert "p4ss" not in repr(config)
    [url] = [one for one in effective(place.environ) if (one.section, one.name) == ("ledger", "url")]
    assert url.where == "[shared] url"


def test_a_secret_may_be_set_before_the_url(place: Place) -> None:
    """By `config set`, which sets one value at a time."""
    config = place.load("[shared]\nsecret_file = '~/shared.secret'")
    assert (config.shared.url, config.ledger.url) == ("", "")


def test_a_ledger_may_reach_that_database_by_another_host(place: Place) -> None:
    config = place.load(_SHARED + "[ledger]\nurl = 'postgresql://pooler.example:6432/gateway'")
    assert config.ledger.url == "postgresql://pooler.example:6432/gateway"


def test_a_database_url_of_somebody_else_s_is_not_taken(place: Place) -> None:
    """Not even where the person has allowed it for the ledger: [shared] says whose database it is."""
    config = place.load(_SHARED + "[ledger]\nuse_database_url = true", DATABASE_URL="postgresql://h/litellm")
    assert config.ledger.url == config.shared.url


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        ("[shared]\nurl = 'postgresql://h/db'", "needs secret_file too", "openssl rand -base64 32"),
        ("[shared]\nurl = 'sqlite:///x.db'\nsecret_file = '~/f'", "gateways cannot share a file", "a gateway alone"),
        ("[shared]\nurl = '~/x.db'\nsecret_file = '~/f'", "gateways cannot share a file", "a gateway alone"),
        ("[shared]\nurl = 'mysql://h/db'\nsecret_file = '~/f'", "must be the URL of a PostgreSQL", "postgresql://"),
        ("[shared]\nurl = 'postgresql://h/db'\nsecret_file = 'f'", "must be a path from / or ~/", ""),
        (_SHARED + "[ledger]\nurl = 'postgresql://h/other'", "must be the database of [ledger] url", "leave [ledger]"),
    ],
)
def test_what_cannot_be_shared(place: Place, content: str, message: str, hint: str) -> None:
    problem = place.problem(content)
    assert message in problem.message
    assert hint in problem.hint
    assert "[shared]" in problem.where


@pytest.mark.parametrize("key", KEYS, ids=lambda key: f"{key.section}.{key.name}")
def test_the_reference_has_it_right(key: Any, tmp_path: Path) -> None:
    section = DOCS.read_text().partition(f"\n## [{key.section}]\n")[2].partition("\n## ")[0]
    row = re.search(rf"^\| `{key.name}` \| `(.*?)` \| .+ \| (.*?) \|$", section, re.MULTILINE)
    assert row, f"{key.name} is missing"
    assert key.read(tomllib.loads(f"value = {row[1]}")["value"]) == got(Config(), key.section, key.name)
    assert row[2] == ", ".join(f"`{variable}`" for variable in key.variables)


def test_the_reference_names_no_other_key() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", DOCS.read_text(), re.MULTILINE)
    assert rows == [key.name for key in KEYS]


def test_the_example_is_valid(place: Place) -> None:
    example = re.search(r"```toml\n(.*?)```", DOCS.read_text().partition("## Example")[2], re.DOTALL)
    assert example
    assert place.load(example[1]).aliases["fast.one"] == "claude-haiku-4-5"


@pytest.mark.parametrize("key", KEYS, ids=lambda key: f"{key.section}.{key.name}")
def test_the_examples_in_hints_are_valid(key: Any) -> None:
    key.read(tomllib.loads(f"value = {key.example}")["value"])


def test_the_import_is_light() -> None:
    code = "import sys, claude_gatewayd.config.loading; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": "src"}, capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"difflib", "platformdirs", "ssl", "asyncio", "socket", "subprocess"} & set(modules)


# Bedrock, LiteLLM, and what is fallen back on


@pytest.mark.parametrize(
    ("text", "environ", "got_it"),
    [
        ("", {}, ("auto", "Sandbox.AdministratorAccess", "us-west-2", "")),
        ("[bedrock]\nenabled = true\nprofile = 'p'\nregion = 'eu-central-1'", {}, ("true", "p", "eu-central-1", "")),
        ("[bedrock]\nprofile = 'p'\nregion = 'eu-west-1'", {"AWS_PROFILE": "q", "AWS_REGION": "ap-northeast-1"},
         ("auto", "q", "ap-northeast-1", "")),
        ("", {"AWS_DEFAULT_REGION": "eu-west-1"}, ("auto", "Sandbox.AdministratorAccess", "eu-west-1", "")),
        ("", {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://127.0.0.1:1", "AWS_ENDPOINT_URL": "http://127.0.0.1:2"},
         ("auto", "Sandbox.AdministratorAccess", "us-west-2", "http://127.0.0.1:1")),
        ("", {"AWS_ENDPOINT_URL": "http://127.0.0.1:2"},
         ("auto", "Sandbox.AdministratorAccess", "us-west-2", "http://127.0.0.1:2")),
        ("", {"AWS_ENDPOINT_URL": "http://127.0.0.1:2", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
         ("auto", "Sandbox.AdministratorAccess", "us-west-2", "")),
        ("[bedrock]\nruntime_endpoint = 'https://vpce.example'", {"AWS_ENDPOINT_URL": "http://127.0.0.1:2"},
         ("auto", "Sandbox.AdministratorAccess", "us-west-2", "https://vpce.example")),
        ("", {"CLAUDE_GATEWAY_BEDROCK_ENABLED": "no", "CLAUDE_GATEWAY_BEDROCK_PROFILE": "mine", "AWS_PROFILE": "q"},
         ("false", "mine", "us-west-2", "")),
    ],
)  # fmt: skip
def test_the_way_to_bedrock(place: Place, text: str, environ: dict[str, str], got_it: tuple[str, ...]) -> None:
    place.environ |= environ
    bedrock = place.load(text).bedrock
    assert (bedrock.enabled, bedrock.profile, bedrock.region, bedrock.runtime_endpoint) == got_it


def test_tables_of_models(place: Place) -> None:
    config = place.load(
        '[router]\nfallback = false\nfallback_on = [529, "timeout"]\n[router.fallbacks]\n"a.b" = ["c", "d"]\n'
        '[bedrock.models]\n"a.b" = "arn:aws:bedrock:x"\n'
    )
    assert config.router.fallbacks == {"a.b": ("c", "d")}
    assert config.router.fallback_on == {"529", "timeout"}
    assert not config.router.fallback
    assert config.bedrock.models == {"a.b": "arn:aws:bedrock:x"}


def test_own_prices(place: Place) -> None:
    prices = place.load(
        '[ledger.prices]\n"a.b" = { input = 3, output = 15 }\n'
        "c = { input = 1, output = 2.5, cache_read = 0, cache_write_5m = 4, cache_write_1h = 5 }\n"
        "[ledger.prices.d]\ninput = 0\noutput = 0\n"
    ).ledger.prices
    assert prices == {
        "a.b": (3.0, 15.0, pytest.approx(0.3), 3.75, 6.0),
        "c": (1.0, 2.5, 0.0, 4.0, 5.0),
        "d": (0.0, 0.0, 0.0, 0.0, 0.0),
    }


@pytest.mark.parametrize(
    ("text", "where", "message", "hint"),
    [
        ("[ledger.prices]\na = 3", "2 [ledger.prices] a", "prices in braces", "input = 3"),
        ("[ledger.prices]\na = { input = 3 }", "2 [ledger.prices] a", "must have output too", "output = 15"),
        ("[ledger.prices]\na = { output = 3 }", "2 [ledger.prices] a", "must have input too", "input ="),
        ("[ledger.prices]\na = { input = -1, output = 1 }", "2 [ledger.prices] a", "input from 0 to", "input ="),
        ("[ledger.prices]\na = { input = nan, output = 1 }", "2 [ledger.prices] a", "input from 0 to", "input ="),
        ("[ledger.prices]\na = { input = true, output = 1 }", "2 [ledger.prices] a", "not true", "input ="),
        ("[ledger.prices]\na = { input = '3', output = 1 }", "2 [ledger.prices] a", 'not "3"', "input ="),
        ("[ledger.prices]\na = { inptu = 3, output = 1 }", "2 [ledger.prices] a", 'has no "inptu"', '"input"'),
        ("[ledger.prices]\na.b = { input = 3, output = 1 }", "2 [ledger.prices] a", 'has no "b"', "known: input"),
        ("[ledger]\nprices = 3", "2 [ledger] prices", "must be a section, not 3", "[ledger.prices]"),
        ('[bedrock]\nenabled = "maybe"', "2 [bedrock] enabled", '"auto", true or false, not "maybe"', "enabled ="),
        ("[bedrock]\nenabled = 1", "2 [bedrock] enabled", "not 1", "enabled ="),
        ('[bedrock]\nprofile = " "', "2 [bedrock] profile", "a name in quotes", "profile ="),
        *(
            (f"[bedrock]\nregion = {text}", "2 [bedrock] region", 'like "us-west-2"', "region =")
            for text in ('"Oregon"', '""', '"us-west"', '"us-west-2a"', '"us-west-2/"', '"US-WEST-2"', "2")
        ),
        ('[bedrock]\ngeography = "mars"', "2 [bedrock] geography", "one of auto, us-gov, us, eu", "geography ="),
        ('[bedrock]\ngeography = "apak"', "2 [bedrock] geography", "one of", 'did you mean "apac"?'),
        *(
            (f"[bedrock]\nruntime_endpoint = {text}", "2 [bedrock] runtime_endpoint", "URL", "runtime_endpoint =")
            for text in ('"ftp://x"', '"bedrock.example"', '"https://u:p@x"', '"https://x?y"', "1")
        ),
        ("[bedrock]\ntimeout = 0", "2 [bedrock] timeout", "above 0", "timeout ="),
        ('[litellm]\nload = "soon"', "2 [litellm] load", "one of auto, eager, lazy", "load ="),
        ('[litellm]\nconfig = "relative.yaml"', "2 [litellm] config", "a path from / or ~/", "config ="),
        ("[router]\nfallback = 1", "2 [router] fallback", "true or false", "fallback ="),
        ('[anthropic]\naccept = ["apikey"]', "2 [anthropic] accept", "a list of", 'did you mean "api_key"?'),
        ("[anthropic]\naccept = [1]", "2 [anthropic] accept", "a list of oauth, api_key", ""),
        ('[anthropic]\naccept = "oauth"', "2 [anthropic] accept", "a list of oauth, api_key", "accept ="),
        ('[router]\nfallback_on = ["418"]', "2 [router] fallback_on", 'not "418"', ""),
        ("[router]\nfallback_on = [418]", "2 [router] fallback_on", 'not "418"', ""),
        ("[router]\nfallback_on = [true]", "2 [router] fallback_on", "not true", "fallback_on ="),
        ('[router]\nfallback_on = ["conection"]', "2 [router] fallback_on", "a list of", 'did you mean "connection"?'),
        ('[router]\nfallback_on = "429"', "2 [router] fallback_on", "a list of", "fallback_on ="),
        # tables of the person's own names: each entry has its own place
        ("[router]\nfallbacks = 3", "2 [router] fallbacks", "must be a section, not 3", "[router.fallbacks]"),
        ("[[bedrock.models]]", "1 [bedrock] models", "must be a section, not a list", "[bedrock.models]"),
        ('[router.fallbacks]\nx = "y"', "2 [router.fallbacks] x", "a list with at least one name", "["),
        ('[router.fallbacks]\na = ["b"]\nx = []', "3 [router.fallbacks] x", "a list with at least one", "["),
        ("[router.fallbacks]\nx = [1]", "2 [router.fallbacks] x", "a list with at least one", "["),
        ('[router.fallbacks]\nx = [""]', "2 [router.fallbacks] x", "a list with at least one", "["),
        ('[bedrock.models]\nx = ""', "2 [bedrock.models] x", "an id or an ARN", '" = "'),
        ('[bedrock.models]\n"a.b" = "a b"', "2 [bedrock.models] a.b", "an id or an ARN", '" = "'),
        ("[bedrock.models]\na.b = 'c'", "2 [bedrock.models] a", "not a section", "needs quotes"),
        ('[bedrock.models]\nx = "bedrock/us.x"', "2 [bedrock.models] x", 'without LiteLLM\'s "bedrock/"', '" = "'),
        ('[bedrock]\n\nmodels."a.b" = 1', "3 [bedrock.models] a.b", "an id or an ARN", '" = "'),
        ("[bedrock]\nmodels = {x = 1}", "2 [bedrock.models] x", "an id or an ARN", '" = "'),
        ("bedrock.models.x = 1", "1 [bedrock.models] x", "an id or an ARN", '" = "'),
        # names
        ("[bedrock]\nmodel = 1", "2 [bedrock] model", "is not a known key", 'did you mean "models"?'),
        ("[bedrock.modles]\nx = 'y'", "1 [bedrock] modles", "is not a known key", 'did you mean "models"?'),
        ("[bedrock.fallbacks]", "1 [bedrock] fallbacks", "is not a known key", "it belongs to [router.fallbacks]"),
        ("[fallbacks]\nx = ['y']", "1 [fallbacks]", "is not a known section", "sections: "),
    ],
)
def test_what_is_wrong_with_them(place: Place, text: str, where: str, message: str, hint: str) -> None:
    problem = place.problem(text)
    assert problem.where == f"{place.file}:{where}"
    assert message in problem.message
    assert hint in problem.hint
    assert problem.hint


def test_each_wrong_entry_is_told(place: Place) -> None:
    problems = place.problems("[bedrock.models]\na = 1\nb = 'ok'\nc = 2\n[router.fallbacks]\na = 1\n")
    assert [problem.where.removeprefix(f"{place.file}:") for problem in problems] == [
        "6 [router.fallbacks] a",
        "2 [bedrock.models] a",
        "4 [bedrock.models] c",
    ]


@pytest.mark.parametrize(
    ("environ", "message", "hint"),
    [
        ({"CLAUDE_GATEWAY_BEDROCK_MODELS": "{}"}, "is not a known", "[bedrock.models] is set in the file only"),
        ({"CLAUDE_GATEWAY_ROUTER_FALLBACKS": "{}"}, "is not a known", "[router.fallbacks] is set in the file only"),
        ({"CLAUDE_GATEWAY_BEDROCK_REGIO": "x"}, "is not a known", 'did you mean "CLAUDE_GATEWAY_BEDROCK_REGION"?'),
        ({"CLAUDE_GATEWAY_ROUTER_FALLBACK_ON": "429, soon"}, 'not "soon"', "ROUTER_FALLBACK_ON="),
    ],
)
def test_what_is_wrong_in_the_environment(place: Place, environ: dict[str, str], message: str, hint: str) -> None:
    problem = place.problem(**environ)
    assert problem.where == f"environment {next(iter(environ))}"
    assert message in problem.message
    assert hint in problem.hint
    assert "secret" not in str(problem)


@pytest.mark.parametrize(
    ("environ", "message", "hint"),
    [
        ({"AWS_REGION": "Oregon"}, "an AWS region", "AWS_REGION=us-west-2"),
        ({"AWS_ENDPOINT_URL": "nowhere"}, "URL", "unset AWS_ENDPOINT_URL"),
        ({"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "https://me:secret@x"}, "***@", "unset AWS_ENDPOINT_URL_BEDROCK_RUNTIME"),
    ],
)
def test_what_is_wrong_with_a_variable_of_aws_costs_no_start(
    place: Place, environ: dict[str, str], message: str, hint: str
) -> None:
    (problem,) = place.load(**environ).aws_problems
    assert problem.where == f"environment {next(iter(environ))}"
    assert message in problem.message
    assert hint in problem.hint
    assert "secret" not in str(problem)


@pytest.mark.parametrize(
    "environ",
    [
        {"AWS_REGION": "Oregon", "CLAUDE_GATEWAY_BEDROCK_REGION": "eu-west-1"},
        {"AWS_ENDPOINT_URL": "nowhere", "CLAUDE_GATEWAY_BEDROCK_RUNTIME_ENDPOINT": "https://vpce.example"},
        {"AWS_ENDPOINT_URL": "nowhere", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "https://vpce.example"},
        {"AWS_ENDPOINT_URL": "nowhere", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "True"},
        {"AWS_ENDPOINT_URL": " ", "AWS_PROFILE": "", "AWS_REGION": ""},
    ],
)
def test_what_does_not_count_does_no_harm(place: Place, environ: dict[str, str]) -> None:
    assert place.load(**environ).aws_problems == ()


@pytest.mark.parametrize("text", ["429,529, connection", '[429, "529", "connection"]'])
def test_fallback_on_in_the_environment(place: Place, text: str) -> None:
    assert place.load(CLAUDE_GATEWAY_ROUTER_FALLBACK_ON=text).router.fallback_on == {"429", "529", "connection"}


def test_a_configuration_of_litellm_need_not_exist(place: Place) -> None:
    """What is wrong with it must not stop the way to Anthropic: the engine tells it."""
    config = place.load('[litellm]\nload = "Lazy"\nconfig = "~/no/such.yaml"')
    assert (config.litellm.load, config.litellm.config) == ("lazy", str(place.file.parent / "no/such.yaml"))


@pytest.mark.parametrize(
    "region", ["us-gov-west-1", "ap-southeast-2", "mx-central-1", "eusc-de-east-1", "us-iso-east-1"]
)
def test_regions(place: Place, region: str) -> None:
    assert place.load(AWS_REGION=region).bedrock.region == region


def test_words_mean_the_same_in_all_rooms() -> None:
    assert set(config_values.FALLBACK_ON) == policy.FALLBACK_ON
    assert set(config_values.GEOGRAPHIES) == {"auto", *bedrock_models.GEOGRAPHIES}


def test_the_examples_of_tables_are_valid(place: Place) -> None:
    examples = re.findall(r"```toml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert len(examples) == 4
    config = place.load("".join(examples))
    assert config.router.fallbacks
    assert config.bedrock.models

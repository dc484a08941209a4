"""What a service is given of a shell's environment, and the file that it stands in."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd.service import environment

SHELL = {
    "PATH": "/usr/local/bin:.:/usr/bin::/usr/local/bin:bin",
    "HOME": "/home/ada",
    "SHELL": "/bin/bash",
    "AWS_PROFILE": "Sandbox",
    "AWS_REGION": "",
    "https_proxy": "http://ada:hunter2@proxy:3128",
    "NO_PROXY": "localhost",
    "SSL_CERT_FILE": "/etc/company.pem",
    "CLAUDE_GATEWAY_LOG_LEVEL": "debug",
    "CLAUDE_GATEWAY_ALLOW_LOOPBACK": "1",
    "AWS_ENDPOINT_URL_DYNAMODB": "https://ada:hunter2@db/usage",
    "OPENAI_API_KEY": "sk-1",
    "DATABASE_URL": "postgresql://ada:hunter2@db/app",
    "SSH_AUTH_SOCK": "/tmp/agent",
    "BASH_FUNC_x%%": "() { :; }",
}


def test_what_is_taken_over() -> None:
    kept, left_out = environment.collect(SHELL)
    assert kept == {
        "PATH": "/usr/local/bin:/usr/bin",
        "AWS_PROFILE": "Sandbox",
        "https_proxy": "http://ada:hunter2@proxy:3128",
        "NO_PROXY": "localhost",
        "SSL_CERT_FILE": "/etc/company.pem",
        "CLAUDE_GATEWAY_LOG_LEVEL": "debug",
        "AWS_ENDPOINT_URL_DYNAMODB": "https://ada:hunter2@db/usage",
    }
    assert left_out == []


def test_a_file_that_is_named_from_here_is_named_from_everywhere() -> None:
    for named, kept in (("c.toml", os.path.abspath("c.toml")), ("/x/c.toml", "/x/c.toml"), ("~/c.toml", "~/c.toml")):
        assert environment.collect({"CLAUDE_GATEWAY_CONFIG": named}) == ({"CLAUDE_GATEWAY_CONFIG": kept}, [])


def test_what_the_persons_configuration_refers_to() -> None:
    also = environment.references("model_list:\n- {api_key: os.environ/OPENAI_API_KEY}\n# os.environ/OPENAI_API_KEY\n")
    assert also == ["OPENAI_API_KEY"]
    kept, _ = environment.collect(SHELL, also)
    assert kept["OPENAI_API_KEY"] == "sk-1"


def test_keys_that_end_within_hours_are_left_out() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "ASIA1", "AWS_SECRET_ACCESS_KEY": "s"}
    lasting, left_out = environment.collect({**keys, "AWS_PROFILE": "p"})
    assert (lasting, left_out) == ({**keys, "AWS_PROFILE": "p"}, [])
    kept, left_out = environment.collect({**keys, "AWS_PROFILE": "p", "AWS_SESSION_TOKEN": "t"})
    assert kept == {"AWS_PROFILE": "p"}
    assert left_out == ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]


@pytest.mark.parametrize("value", ["a\x01b", "\x7f", "\udcff", "a\rb"])
def test_what_systemd_would_not_take_is_left_out(value: str) -> None:
    assert environment.collect({"AWS_PROFILE": value}) == ({}, ["AWS_PROFILE"])


@pytest.mark.parametrize(
    ("name", "value", "seen"),
    [
        ("PATH", "/opt/python@3.12/bin:/bin", "/opt/python@3.12/bin:/bin"),
        ("AWS_PROFILE", "Sandbox", "Sandbox"),
        ("AWS_ACCESS_KEY_ID", "AKIA1", "AKIA1"),
        ("AWS_SECRET_ACCESS_KEY", "s3cret", "***"),
        ("AWS_BEARER_TOKEN_BEDROCK", "s3cret", "***"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/run/token", "/run/token"),
        ("HTTPS_PROXY", "http://ada:hunter2@proxy:3128", "http://***@proxy:3128"),
        ("http_proxy", "ada:hunter2@proxy:3128", "***@proxy:3128"),
        ("HTTP_PROXY", "http://ada:hun@ter:2@proxy:3128", "http://***@proxy:3128"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "https://ada:hunter2@db/usage", "https://***@db/usage"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "https://db/usage?user=ada&password=hunter2", "https://db/usage?***"),
        ("CLAUDE_GATEWAY_ANTHROPIC_PROXY", "http://ada:hunter2@proxy", "http://***@proxy"),
        ("MINE", "s3cret", "***"),
    ],
)
def test_secrets_are_not_shown(name: str, value: str, seen: str) -> None:
    assert environment.shown(name, value, ["MINE"]) == f"{name}={seen}"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A=1\nB=2", {"A": "1", "B": "2"}),
        ("# A=1\n; A=2\nnonsense\nexport A=3\n", {}),
        ("A=1\nA=2\n", {"A": "2"}),
        ("A=\n", {"A": ""}),
        ("  A = b c  \n", {"A": "b c"}),
        ('A="b c" \n', {"A": "b c"}),
        ("A='b \"c'\n", {"A": 'b "c'}),
        ('A="b\nB=c"\n', {"A": "b\nB=c"}),
        (r'A="\"\\\$\`\n"', {"A": '"\\$`\\n'}),
        (r"A=b\c\\d\"", {"A": 'bc\\d"'}),
        ("A=b\\\nc\nD=e\n", {"A": "bc", "D": "e"}),
        ("A=\"b\"'c'd\n", {"A": "bcd"}),
        ("A=it's\n", {"A": "it's"}),
        ("A=b # c\n", {"A": "b # c"}),
    ],
)
def test_a_file_is_read_as_systemd_reads_it(text: str, values: dict[str, str]) -> None:
    assert environment.read(text) == values


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], include_characters="\t\n\"'\\$`#;= "))


@given(st.dictionaries(NAMES, VALUES))
def test_what_is_written_is_read(values: dict[str, str]) -> None:
    text = environment.render(values)
    assert text.startswith("# The environment of the service")
    assert environment.read(text) == values


@given(st.dictionaries(NAMES, VALUES), st.dictionaries(NAMES, VALUES))
def test_what_is_changed_is_read_too(before: dict[str, str], after: dict[str, str]) -> None:
    assert environment.read(environment.render(after, environment.render(before))) == after


def test_what_a_person_has_written_stays() -> None:
    text = "# mine\nA=1\n\n; for B\nB='two\nlines'\nC=3 # no comment\nA=4"
    assert environment.render(environment.read(text), text) == text.replace("A=1\n", "") + "\n"
    assert environment.render({"A": "4", "B": "x", "D": "$y"}, text) == '# mine\n\n; for B\nA=4\nB="x"\nD="\\$y"\n'

"""`install`, `uninstall` and the verbs of the service, under a real systemd user manager."""

import grp
import json
import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.scenarios.service.inside import LINK, ROOT, UNITS, Inside, has, listens, status
from tests.support.daemon import BIN, drop_in_of_a_checkout

ENVIRONMENT = f"{Inside.home}/.config/claude-gateway/environment"
SERVED = r"in \d+\.\d s, serving on http://127\.0\.0\.1:47000$"

# a request whose body does not come
UNDER_WAY = (
    "(exec 3<>/dev/tcp/127.0.0.1/47000; printf 'POST /v1/messages HTTP/1.1\\r\\nHost: localhost\\r\\n"
    "x-api-key: sk-ant-api03-x\\r\\nContent-Length: 9\\r\\n\\r\\n' >&3; sleep 60) >/dev/null 2>&1 & "
    "until claude-gatewayctl status --json | grep -q '\"under_way\": 1'; do sleep 0.1; done"
)


def exposure(inside: Inside) -> float:
    output = inside.good("systemd-analyze --user security --no-pager claude-gatewayd.service")
    found = re.search(r"Overall exposure level for claude-gatewayd.service: ([\d.]+)", output)
    assert found is not None
    return float(found[1])


# install, uninstall


def test_a_newcomer_installs_twice_and_uninstalls(inside: Inside) -> None:
    output = inside.good("claude-gatewayctl install")
    lines = output.splitlines()
    assert [line.split() for line in lines if line.startswith(("wrote", "linked"))] == [
        ["wrote", ENVIRONMENT],
        ["linked", LINK],
        ["wrote", LINK.replace("current", "claude-gatewayd.sh")],
        ["wrote", f"{UNITS}/claude-gatewayd.socket"],
        ["wrote", f"{UNITS}/claude-gatewayd.service"],
    ]
    assert "AWS_PROFILE=Sandbox" in output
    assert "AWS_ENDPOINT_URL_DYNAMODB=https://***@db/usage" in output
    bash = f"{Inside.home}/.local/share/bash-completion/completions/claude-gatewayctl"
    assert f"completes {bash}" in lines
    assert inside.good(f"bash -c 'source {bash}; complete -p claude-gatewayctl'").strip().endswith("claude-gatewayctl")
    assert "enabled   it starts when you log in" in lines
    assert any(re.fullmatch("started   " + SERVED, line) for line in lines), output
    assert "configure-claude    # point Claude Code at http://127.0.0.1:47000" in output

    running = status(inside)
    assert running["state"] == "serving"
    assert running["inherited"] is True
    environ = inside.good(f"tr '\\0' '\\n' < /proc/{running['pid']}/environ")
    assert "AWS_ENDPOINT_URL_DYNAMODB=https://ada:hunter2@db/usage\n" in environ
    assert f"PATH={BIN}:" in environ
    assert inside.good(f"stat -c %a {ENVIRONMENT}") == "600\n"
    assert inside.good("systemctl --user is-enabled claude-gatewayd.service claude-gatewayd.socket").split() == [
        "enabled",
        "enabled",
    ]
    assert inside.good(f"readlink {LINK}").strip() == str(BIN.parent)

    # the daemon's own records aside
    files = f"find {Inside.home} -path '*/state/*' -prune -o -type f -print -o -type l -print"
    listing = f"{files} | xargs ls -l --time-style=full-iso"
    before = inside.good(listing)
    assert UNITS in before
    again = inside.good("claude-gatewayctl install")
    assert again == "Nothing to do: already installed and running, serving on http://127.0.0.1:47000\n"
    assert inside.good(listing) == before
    assert status(inside)["pid"] == running["pid"]

    output = inside.good("claude-gatewayctl uninstall")
    assert output.startswith("stopped   the port is closed\n")
    assert f"removed   {UNITS}/claude-gatewayd.service" in output
    assert f"kept      {Inside.home}/.local/state/claude-gateway" in output
    assert not listens(inside)
    left = inside.good(f"find {Inside.home} -type f -o -type l").split()
    assert {path.rpartition("/")[0] for path in left} == {f"{Inside.home}/.local/state/claude-gateway"}
    assert "claude-gateway" not in inside.good("systemctl --user list-units --all --no-legend --plain")
    output = inside.good("claude-gatewayctl uninstall --purge")
    assert f"removed   {Inside.home}/.local/state/claude-gateway" in output
    assert inside.good(f"find {Inside.home} -type f -o -type l") == ""
    assert inside.good("claude-gatewayctl uninstall --purge") == "Nothing to do: it is not installed\n"


def test_a_dry_run_shows_all_and_does_nothing(bare: Inside) -> None:
    output = bare.good("claude-gatewayctl install --dry-run --sandbox --port 47123")
    assert "ListenStream=127.0.0.1:47123" in output
    assert f"ExecStart={LINK.replace('current', 'claude-gatewayd.sh')} --wait {LINK}/bin/claude-gatewayd\n" in output
    assert "CLAUDE_GATEWAY_LISTEN_PORT=47123" in output
    assert "PrivateUsers=yes" in output
    assert "hunter2" not in output
    assert output.endswith(
        "systemctl --user daemon-reload\n"
        "systemctl --user enable claude-gatewayd.socket claude-gatewayd.service\n"
        "systemctl --user start claude-gatewayd.socket claude-gatewayd.service\n"
        "# Nothing was changed.\n"
    )
    assert not listens(bare)


def test_what_changes_is_changed_and_the_rest_stays(inside: Inside) -> None:
    inside.good("claude-gatewayctl install")
    first = status(inside)["pid"]
    output = inside.good("AWS_PROFILE=Other claude-gatewayctl install")
    assert f"changed   {ENVIRONMENT}\n            AWS_PROFILE=Other\nrestarted in " in output
    second = status(inside)["pid"]
    assert second != first
    # by hand, or by an `install` that was cut off before the restart
    inside.good(f"echo AWS_REGION=eu-west-9 >> {ENVIRONMENT}")
    output = inside.good("env -u AWS_PROFILE claude-gatewayctl install")
    assert output.startswith(f"unread    {ENVIRONMENT}: changed since the daemon started\nrestarted in ")
    assert "AWS_REGION=eu-west-9" in inside.good(f"tr '\\0' '\\n' < /proc/{status(inside)['pid']}/environ")
    # a shell that knows less takes nothing away
    names = "-u AWS_PROFILE -u AWS_ENDPOINT_URL_DYNAMODB"
    assert inside.good(f"env {names} claude-gatewayctl install").startswith("Nothing to do")
    output = inside.good("claude-gatewayctl install --port 47001")
    assert f"changed   {UNITS}/claude-gatewayd.socket" in output
    assert "serving on http://127.0.0.1:47001" in output
    assert not listens(inside)
    assert inside.good("claude-gatewayctl install").splitlines()[-1].endswith("127.0.0.1:47001"), "the port is kept"
    # the person's own changes
    inside.put(f"{UNITS}/claude-gatewayd.service.d/override.conf", "[Service]\nNice=5\n")
    inside.good("claude-gatewayctl uninstall")
    assert inside.good(f"ls {UNITS}/claude-gatewayd.service.d") == "override.conf\n"


def test_the_port_of_the_configuration(bare: Inside) -> None:
    output = bare.good("CLAUDE_GATEWAY_LISTEN_HOST=::1 LITELLM_PORT=47005 claude-gatewayctl install --dry-run")
    assert "ListenStream=[::1]:47005" in output


def test_a_configuration_that_is_no_good_is_told_before_anything_is_done(bare: Inside) -> None:
    output = bare.bad("CLAUDE_GATEWAY_LISTEN_PROT=1 claude-gatewayctl install", 78)
    assert "CLAUDE_GATEWAY_LISTEN_PROT: is not a known variable" in output


def test_a_home_with_an_awkward_name(inside: Inside) -> None:
    """Its blanks and percent signs mean something to systemd."""
    home = f"{Inside.home}/100% of größe"
    inside.put(f"{home}/.config/claude-gateway/config.toml", "")
    assert "serving on" in inside.good(f"HOME='{home}' LITELLM_PORT=47009 claude-gatewayctl install")
    environ = inside.good(f"tr '\\0' '\\n' < /proc/{status(inside)['pid']}/environ")
    assert "LITELLM_PORT=47009\n" in environ, "systemd has found the file"
    assert inside.good("claude-gatewayctl reload").startswith("Reloaded in ")
    inside.good("systemctl --user reload claude-gatewayd")


def test_a_home_with_a_blank() -> None:
    """That of the manager, too: systemd quotes the path of its units then."""
    with Inside("--home", "/run/ada l 100%") as inside:
        output = inside.good("claude-gatewayctl install")
        assert "wrote     /run/ada l 100%/.config/systemd/user/claude-gatewayd.service\n" in output
        assert "serving on" in output
        inside.good("systemctl --user reload claude-gatewayd && systemctl --user restart claude-gatewayd")
        assert inside.good("claude-gatewayctl install").startswith("Nothing to do: already installed and running")
        assert "ok    service" in inside.run("claude-gatewayctl doctor").stdout
        inside.good("claude-gatewayctl uninstall --purge")
        assert inside.good("find ~ -type f -o -type l") == ""


def test_the_sandbox(inside: Inside) -> None:
    inside.put(f"{UNITS}/claude-gatewayd.service.d/60-checkout.conf", drop_in_of_a_checkout())
    inside.good("claude-gatewayctl install --sandbox")
    assert exposure(inside) <= 2.2, "docs/service.md says it"
    pid = status(inside)["pid"]
    assert inside.good(f"readlink /proc/{pid}/ns/user") != inside.good("readlink /proc/self/ns/user")
    assert inside.good("claude-gatewayctl reload").startswith("Reloaded in ")
    assert inside.good("claude-gatewayctl install").startswith("Nothing to do"), "it stays"
    inside.put(f"{Inside.home}/.aws/config", "[profile Sandbox]\ncredential_process = op item get aws\n")
    output = inside.run("claude-gatewayctl doctor").stdout
    assert "has a sandbox, which the credential_process of profile Sandbox may not survive" in output
    inside.good(f"rm {UNITS}/claude-gatewayd.service.d/50-sandbox.conf; claude-gatewayctl install")
    assert "has a sandbox" not in inside.run("claude-gatewayctl doctor").stdout


HELPER = """#!/bin/bash
{{ grep NoNewPrivs /proc/self/status; '{id}' -gn; unshare --user true && echo unshared; }} > ~/part-$1 2>&1
podman --runtime runc --cgroup-manager cgroupfs run --rm --network none --rootfs ~/root /program -V 2>> ~/why-$1 |
    grep -q GLIBC && echo contained >> ~/part-$1
mv ~/part-$1 ~/seen-$1
echo '{{"Version": 1, "AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "SecretAccessKey": "x"}}'
"""


def test_credential_helpers_may_do_in_the_service_what_they_may_in_the_shell(inside: Inside) -> None:
    """1Password's `op` is setgid, snap's `aws` and sudo are setuid, podman makes namespaces."""
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".setgid-") as directory:
        os.chmod(directory, 0o755)
        setgid = Path(shutil.copy("/usr/bin/id", directory))
        os.chown(setgid, 0, grp.getgrnam("adm").gr_gid)
        setgid.chmod(0o2755)
        inside.put(f"{Inside.home}/helper", HELPER.format(id=setgid))
        inside.good("mkdir ~/root && cp /sbin/ldconfig ~/root/program")  # which needs no other file
        inside.good("chmod +x ~/helper && ~/helper shell")
        shell = inside.good("cat ~/seen-shell")
        in_container = ["contained"] if has("podman") and has("runc") else []
        assert shell.split() == ["NoNewPrivs:", "0", "adm", "unshared", *in_container], inside.good("cat ~/why-shell")
        inside.put(
            f"{Inside.home}/.aws/config",
            f"[profile Sandbox]\nregion = us-west-2\ncredential_process = {Inside.home}/helper service\n",
        )
        inside.good("claude-gatewayctl install")
        inside.good("until test -s ~/seen-service; do sleep 0.1; done", 30)
        assert inside.good("cat ~/seen-service") == shell
    assert inside.bad("claude-gatewayctl install --sandbox") == (
        "Cannot use --sandbox: profile Sandbox gets its AWS keys from a credential_process, and no program in a "
        "sandbox may gain privileges, as op, sudo and snaps do\n  claude-gatewayctl install\n"
    )


def test_no_sandbox_where_the_probe_fails(bare: Inside) -> None:
    bare.put(f"{Inside.home}/bin/systemd-run", "#!/bin/sh\necho 'no user namespaces' >&2\nexit 1\n")
    bare.good(f"chmod +x {Inside.home}/bin/systemd-run")
    output = bare.bad(f"PATH={Inside.home}/bin:$PATH claude-gatewayctl install --sandbox")
    bare.good(f"rm -r {Inside.home}/bin")
    assert output.startswith("Cannot use --sandbox here, it would keep the service from starting: no user namespaces\n")
    assert "claude-gatewayctl install" in output


@pytest.mark.parametrize(
    ("setting", "status"),
    [("DynamicUser=yes", "217/USER"), ("CapabilityBoundingSet=", "218/CAPABILITIES"),
     ("PrivateUsers=yes\nReadWritePaths=/gone", "226/NAMESPACE")],
)  # fmt: skip
def test_a_sandbox_that_cannot_work_after_a_move(inside: Inside, setting: str, status: str) -> None:
    """As in another distribution, or a container: user namespaces are forbidden there."""
    inside.good("claude-gatewayctl install && claude-gatewayctl stop")
    drop_in = f"{UNITS}/claude-gatewayd.service.d/50-sandbox.conf"
    inside.put(drop_in, f"[Service]\n{setting}\n")
    inside.good("systemctl --user daemon-reload")
    trouble = f"the sandbox is not possible here any more (status {status})"
    mend = f"rm {drop_in}; claude-gatewayctl install"
    assert inside.bad("claude-gatewayctl start") == f"Cannot start the service: {trouble}\n  {mend}\n"
    for verb in ("doctor", "status"):
        done = inside.run(f"claude-gatewayctl {verb}")
        assert trouble in done.stdout + done.stderr, verb
        assert mend in done.stdout + done.stderr, verb
    assert "serving on" in inside.good(mend)


def test_lingering(inside: Inside) -> None:
    """No logind is here, so it cannot be had; all else is done, and who may do it is said."""
    done = inside.run("claude-gatewayctl install --linger")
    assert done.returncode == 1
    assert "serving on" in done.stdout
    assert done.stderr.startswith("Cannot let the service run without a login: ")
    assert "sudo loginctl enable-linger gatewayd-test" in done.stderr
    inside.put(f"{Inside.home}/bin/loginctl", f'#!/bin/sh\necho "$@" >> {Inside.home}/asked\n')
    inside.good(f"chmod +x {Inside.home}/bin/loginctl")
    assert "lingers   " in inside.good(f"PATH={Inside.home}/bin:$PATH claude-gatewayctl install --linger")
    assert inside.good(f"cat {Inside.home}/asked") == "enable-linger\n"


# the verbs


def test_the_life_of_a_service(inside: Inside) -> None:
    for verb in ("start", "restart", "enable", "disable", "logs"):
        output = inside.bad(f"claude-gatewayctl {verb}")
        assert "it is not installed\n  claude-gatewayctl install" in output, verb
    assert "not running\n  claude-gatewayd" in inside.bad("claude-gatewayctl stop", 3)

    inside.good("claude-gatewayctl install")
    first = status(inside)["pid"]
    assert inside.good("claude-gatewayctl start").startswith(f"Already running, pid {first}, ")
    assert re.fullmatch("Restarted " + SERVED, inside.good("claude-gatewayctl restart").strip())
    assert status(inside)["pid"] != first
    assert re.fullmatch(r"Stopped after \d\.\d s, the port is closed \(.*\)\n", inside.good("claude-gatewayctl stop"))
    assert not listens(inside)
    assert "not running\n  claude-gatewayctl start" in inside.bad("claude-gatewayctl status", 3)
    assert inside.bad("claude-gatewayctl stop", 3)
    assert re.fullmatch("Started " + SERVED, inside.good("claude-gatewayctl start").strip())
    inside.good("claude-gatewayctl stop")
    assert re.fullmatch("Restarted " + SERVED, inside.good("claude-gatewayctl restart").strip()), "it starts, too"

    assert inside.good("claude-gatewayctl enable").startswith("Already enabled: ")
    assert re.match(r"Disabled in \d\.\d s: ", inside.good("claude-gatewayctl disable"))
    assert inside.run("systemctl --user is-enabled claude-gatewayd.service").stdout == "disabled\n"
    assert inside.good("claude-gatewayctl disable").startswith("Already disabled: ")
    assert listens(inside)
    assert re.match(r"Enabled in \d\.\d s: ", inside.good("claude-gatewayctl enable"))
    inside.good("systemctl --user is-enabled claude-gatewayd.service claude-gatewayd.socket")

    shown = inside.good("claude-gatewayctl logs -n 3").splitlines()
    assert len(shown) == 3
    every = inside.good("claude-gatewayctl logs --since today")
    assert "generation 1 (pid" in every
    assert "Started claude-gatewayd.service" in every, "systemd's own lines as well"
    assert inside.good("claude-gatewayctl logs --since '1 hour ago' -n 0") == ""
    followed = inside.good(
        "timeout 50 claude-gatewayctl logs -f -n 1 > ~/followed & until [ -s ~/followed ]; do sleep 0.05; done; "
        "sleep 1; kill $! && cat ~/followed"  # it goes on
    )
    assert len(followed.splitlines()) == 1
    assert "'some' is not a number of lines" in inside.bad("claude-gatewayctl logs -n some", 2)


def test_stop_now_cuts(inside: Inside) -> None:
    inside.good("claude-gatewayctl install")
    before = status(inside)
    inside.good(UNDER_WAY)
    output = inside.good("claude-gatewayctl stop --now", 20)
    assert re.match(r"Stopped after \d\.\d s", output)
    for pid in (before["pid"], *(generation["pid"] for generation in before["generations"])):
        assert inside.run(f"kill -0 {pid}").returncode != 0
    assert inside.run("systemctl --user is-failed claude-gatewayd.service").stdout == "inactive\n"


def test_what_a_stop_leaves_to_finish_is_cut_too(inside: Inside) -> None:
    inside.good("claude-gatewayctl install")
    (worker,) = (generation["pid"] for generation in status(inside)["generations"])
    inside.good(UNDER_WAY)
    output = inside.good("claude-gatewayctl stop", 20)
    assert output.startswith("Stopping: 1 request in progress (claude-gatewayctl stop --now cuts off the rest)\n")
    assert "the port is closed; requests in progress will finish (" in output
    assert not listens(inside)
    assert inside.run(f"kill -0 {worker}").returncode == 0
    assert (
        inside.good("claude-gatewayctl stop --now", 20)
        == "Cut off the requests that an earlier stop had left to finish\n"
    )
    inside.good(f"while kill -0 {worker}; do sleep 0.05; done", 20)
    inside.bad("claude-gatewayctl stop --now", 3)


def test_run_starts_the_service_where_it_is_installed(inside: Inside) -> None:
    inside.put(f"{Inside.home}/bin/claude", "#!/bin/sh\necho claude at $ANTHROPIC_BASE_URL\n")
    inside.good(f"chmod +x {Inside.home}/bin/claude; claude-gatewayctl install && claude-gatewayctl stop")
    assert "claude at http://127.0.0.1:47000" in inside.good(f"PATH={Inside.home}/bin:$PATH claude-gatewayctl run")
    assert status(inside)["inherited"] is True


def test_claude_code_is_told_before_the_service_goes(inside: Inside) -> None:
    settings = f"{Inside.home}/.claude/settings.json"
    inside.put(settings, '{"model": "opus"}\n')
    before = inside.good(f"cat {settings}")
    inside.good("claude-gatewayctl install --port 47001 && claude-gatewayctl configure-claude")
    assert "http://127.0.0.1:47001" in inside.good(f"cat {settings}")
    output = inside.good("claude-gatewayctl uninstall")
    assert output.startswith(f"Claude Code is configured as before ({settings})\n")
    assert inside.good(f"cat {settings}") == before

    inside.good("claude-gatewayctl install && claude-gatewayctl configure-claude")
    inside.put(settings, '{"model": \n')
    done = inside.run("claude-gatewayctl uninstall")
    assert (done.returncode, listens(inside)) == (1, False), "all else is taken away"
    assert "it is not strict JSON" in done.stderr


def test_a_request_starts_a_service_whose_socket_listens(inside: Inside) -> None:
    inside.good("claude-gatewayctl install")
    inside.good("systemctl --user stop claude-gatewayd.service", 30)
    assert "HTTP/1.1 401" in inside.good(
        "exec 3<>/dev/tcp/127.0.0.1/47000; printf 'GET /v1/models HTTP/1.1\\r\\nHost: localhost\\r\\n"
        "Connection: close\\r\\n\\r\\n' >&3; cat <&3"
    )


def test_by_hand_with_the_templates_as_they_are(inside: Inside) -> None:
    """As the README shows."""
    inside.good(
        f"mkdir -p ~/.local/bin ~/.local/share/claude-gateway {UNITS} && "
        f"cp '{ROOT}/packaging/claude-gatewayd.sh' ~/.local/share/claude-gateway && "
        f"ln -s '{BIN}/claude-gatewayd' '{BIN}/claude-gatewayctl' ~/.local/bin && "
        f"cp '{ROOT}/packaging/systemd/'claude-gatewayd.{{service,socket}} {UNITS} "
        "&& systemctl --user daemon-reload && systemctl --user start claude-gatewayd"
    )
    assert status(inside)["state"] == "serving"
    inside.good("systemctl --user reload claude-gatewayd")
    assert status(inside)["last_reload"]["applied"] is True
    inside.put(f"{Inside.home}/.config/claude-gateway/config.toml", "[listen]\nprot = 1\n")
    assert inside.run("systemctl --user reload claude-gatewayd").returncode == 1
    assert 'did you mean "port"?' in inside.journal()
    assert inside.good("systemd-analyze --user verify claude-gatewayd.service 2>&1") == ""
    inside.good("rm ~/.config/claude-gateway/config.toml")
    output = inside.good("claude-gatewayctl install")
    assert "changed   " in output
    assert "was " not in output, "it is the same installation"


def test_what_systemd_thinks_of_the_units(inside: Inside) -> None:
    inside.good("claude-gatewayctl install")
    for name in ("claude-gatewayd.service", "claude-gatewayd.socket"):
        assert inside.good(f"systemd-analyze --user verify {UNITS}/{name} 2>&1") == ""
    assert exposure(inside) <= 9.7, "docs/service.md says it"
    assert re.search(r"core file size +0 +0 ", inside.good(f"cat /proc/{status(inside)['pid']}/limits"))


def test_the_environment_file_is_read_by_systemd_as_by_us(inside: Inside) -> None:
    from claude_gatewayd.service import environment

    values = {
        "AWS_A": "plain",
        "AWS_B": "with space  ",
        "AWS_C": "\"quoted\" 'twice' `cmd` $HOME ${HOME} \\ back\\slash \\n",
        "AWS_D": "#no comment; none",
        "AWS_E": "tab\there",
        "AWS_F": "two\nlines",
        "AWS_G": "ünïcödé %h %%",
        "AWS_H": "a=b=c",
        "AWS_I": "trailing\\",
    }
    odd = "# x\n; y\nAWS_J=it's here\nAWS_K=a\\\nb\nAWS_L='x\"y'\"z\" w\nAWS_M = spaced \nexport AWS_N=1\nAWS_O=\n"
    text = environment.render(values) + odd
    inside.put(ENVIRONMENT, text)
    shown = inside.good(
        f"systemd-run --user --wait --pipe --quiet -p EnvironmentFile={ENVIRONMENT} "
        "/usr/bin/python3 -c 'import json, os; print(json.dumps(dict(os.environ)))'"
    )
    got = {
        name: value for name, value in json.loads(shown).items() if name.startswith("AWS_") and name != "AWS_PROFILE"
    }
    assert got == environment.read(text)
    assert {name: got[name] for name in values} == values

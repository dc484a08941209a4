"""`[listen] workers`: a generation of several processes, told as one."""

import signal
from contextlib import ExitStack, suppress
from subprocess import DEVNULL, Popen
from urllib.request import Request, urlopen

from tests.fakes.anthropic import FakeAnthropic
from tests.scenarios.lifecycle.callers import calling
from tests.support.build import Build
from tests.support.calls import Stream, check_health, post
from tests.support.daemon import BIN, Daemon, wait_until
from tests.support.workers import TWO, all_serve


def asked_by_all(daemon: Daemon, count: int = 40) -> None:
    """Ask on many connections: the kernel chooses who accepts."""
    for _ in range(count):
        assert post(daemon.port)[0] == 200


def test_a_generation_has_as_many_and_is_told_as_one(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url, config=TWO) as daemon:
        generation = all_serve(daemon)
        assert (len(daemon.status()["generations"]), sorted(generation["pids"])) == (1, sorted(daemon.workers()))
        assert generation["pid"] == generation["pids"][0]
        asked_by_all(daemon)
        wait_until(lambda: daemon.status()["requests"]["200"] >= 40)
        pids = ", ".join(map(str, generation["pids"]))
        assert f"pids {pids}, since" in daemon.ctl("status").stdout
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert daemon.workers() == []


def test_one_that_dies_is_replaced_while_the_others_serve(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url, config=TWO) as daemon:
        all_serve(daemon)
        for which in (0, 1):  # the first, whose word counts in the status, and another one
            before = daemon.generation()
            killed = before["pids"][which]
            daemon.kill(killed)
            asked_by_all(daemon, 10)
            wait_until(lambda: len(daemon.generation()["pids"]) == 2 and killed not in daemon.generation()["pids"])  # noqa: B023
            assert daemon.generation()["number"] == before["number"]
            assert f"a worker of generation 1 (pid {killed}) died: SIGKILL; others serve" in daemon.log
        assert "Traceback" not in daemon.log


def test_a_reload_waits_for_all_and_streams_are_finished(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url, config=TWO) as daemon:
        all_serve(daemon)
        hold = fake.hold_next("end")
        with Stream(daemon.port) as stream:
            hold.wait_reached()
            before = set(daemon.workers())
            daemon.config_file.write_text("[listen]\nworkers = 3\n")
            assert daemon.ctl("reload").returncode == 0
            generation = daemon.generation()
            assert (generation["number"], len(generation["pids"])) == (2, 3)
            asked_by_all(daemon, 10)
            hold.release()
            stream.rest()
            assert stream.is_whole
        wait_until(lambda: not before & set(daemon.workers()), 20)
        daemon.config_file.write_text("")
        assert daemon.ctl("reload").returncode == 0
        wait_until(lambda: len(daemon.workers()) == 1, 20)


def test_a_configuration_has_one_generation(fake: FakeAnthropic) -> None:
    """A worker that takes the place of a dead one reads the file as it is now: then all are of another generation."""
    with Daemon(upstream=fake.url, config=TWO) as daemon:
        all_serve(daemon)
        daemon.config_file.write_text("[listen]\nworkers = 2\nmax_body = 2048\n")
        daemon.kill(daemon.generation()["pids"][1])
        wait_until(lambda: daemon.generation()["number"] == 2 and len(daemon.generation()["pids"]) == 2, 20)
        assert post(daemon.port, b'{"model": "%s"}' % (b"x" * 3000))[0] == 413


def test_all_at_once(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url, config=TWO) as daemon:
        killed = all_serve(daemon)["pids"]
        for pid in killed:
            daemon.kill(pid)
        wait_until(lambda: not set(killed) & set(daemon.workers()))
        all_serve(daemon)
        asked_by_all(daemon, 10)


def test_one_that_hangs_is_stood_in_for(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url, config=TWO) as daemon, calling(daemon.port):
        hung = all_serve(daemon)["pids"][0]
        daemon.kill(hung, signal.SIGSTOP)
        wait_until(lambda: "another one stands in" in daemon.log, 20)
        wait_until(lambda: hung not in daemon.workers(), 40, lambda: daemon.log)
        assert hung not in all_serve(daemon)["pids"]


def test_open_circuits_hold_for_all(fake: FakeAnthropic) -> None:
    """Nobody asks twice what one of them knows: facts go through the supervisor."""
    with Daemon(upstream=fake.url, config=TWO) as daemon:
        all_serve(daemon)
        asked_by_all(daemon, 20)
        accepted = [line for line in daemon.log.splitlines() if "Anthropic accepts the credential" in line]
        assert len(accepted) == 1, accepted


def scraped(daemon: Daemon, name: str) -> float:
    """Return the sum of a metric over its labels."""
    with urlopen(
        Request(f"http://127.0.0.1:{daemon.port}/metrics", headers={"x-gateway-key": daemon.key}), timeout=30
    ) as page:
        lines = page.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))


def test_metrics_are_of_all_workers_and_counters_do_not_fall(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url, config=TWO) as daemon:
        all_serve(daemon)
        before = scraped(daemon, "claude_gateway_requests_total")  # the start's own
        asked_by_all(daemon)
        wait_until(lambda: scraped(daemon, "claude_gateway_requests_total") == before + 40)  # all have answered once
        for _ in range(4):  # whoever is asked
            assert scraped(daemon, "claude_gateway_requests_total") == before + 40
            assert (scraped(daemon, "claude_gateway_workers"), scraped(daemon, "claude_gateway_missing_workers")) == (
                2,
                0,
            )
        killed = all_serve(daemon)["pids"][0]
        daemon.kill(killed)
        wait_until(lambda: len(daemon.generation()["pids"]) == 2 and killed not in daemon.generation()["pids"])
        asked_by_all(daemon, 20)
        wait_until(lambda: scraped(daemon, "claude_gateway_requests_total") == before + 60)  # all have answered once
        for _ in range(4):
            assert scraped(daemon, "claude_gateway_requests_total") == before + 60


def test_a_worker_that_hangs_is_missing_from_the_metrics(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url, config=TWO) as daemon:
        first, hung = all_serve(daemon)["pids"]
        asked_by_all(daemon, 10)
        assert scraped(daemon, "claude_gateway_workers") == 2
        daemon.kill(hung, signal.SIGSTOP)
        wait_until(lambda: _scraped_soon(daemon) == 1, 30)
        daemon.kill(hung, signal.SIGCONT)
        assert first in daemon.workers()


def _scraped_soon(daemon: Daemon) -> float:
    """Return how many workers are missing; -1 if the one that hangs was asked."""
    page = Request(f"http://127.0.0.1:{daemon.port}/metrics", headers={"x-gateway-key": daemon.key})
    with suppress(OSError), urlopen(page, timeout=3) as answer:
        lines = answer.read().decode().splitlines()
        return float(next(line for line in lines if line.startswith("claude_gateway_missing_workers")).split()[1])
    return -1


def test_an_upgrade_in_place_keeps_all_and_their_order(fake: FakeAnthropic, build: Build) -> None:
    with Daemon(upstream=fake.url, environ=build.environ, config=TWO) as daemon:
        all_serve(daemon)
        hold = fake.hold_next("end")
        with Stream(daemon.port) as stream:
            hold.wait_reached()
            build.set_version("8.0")
            assert daemon.ctl("reload").returncode == 0
            wait_until(lambda: f"goes on as pid {daemon.pid}" in daemon.log)
            pids = all_serve(daemon)["pids"]
            numbers = [(one["number"], one["state"], len(one["pids"])) for one in daemon.status()["generations"]]
            assert numbers in ([(2, "serving", 2), (1, "draining", 1)], [(2, "serving", 2), (1, "draining", 2)])
            hold.release()
            stream.rest()
            assert stream.is_whole
        wait_until(lambda: sorted(daemon.workers()) == sorted(pids))
        build.set_version("9.0")
        assert daemon.ctl("reload").returncode == 0
        wait_until(lambda: daemon.log.count(f"goes on as pid {daemon.pid}") == 2)
        generation = all_serve(daemon)
        assert (generation["number"], generation["pid"]) == (3, generation["pids"][0])
        daemon.kill(generation["pids"][0])
        wait_until(lambda: generation["pids"][0] not in daemon.generation()["pids"])
        assert all_serve(daemon)["pids"][0] == generation["pids"][1]
        asked_by_all(daemon, 10)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert daemon.workers() == []
        assert "Traceback" not in daemon.log


def test_one_that_is_killed_while_a_reload_waits_for_it(fake: FakeAnthropic) -> None:
    """Nothing has changed then, and the next reload goes on."""
    three = TWO.replace("2", "3")
    with Daemon(upstream=fake.url, config=three) as daemon:
        before = all_serve(daemon, 3)["pids"]
        reloading = Popen([BIN / "claude-gatewayctl", "reload"], env=daemon.environ, stdout=DEVNULL, stderr=DEVNULL)
        wait_until(lambda: len(daemon.workers()) > 3)
        begun = [pid for pid in daemon.workers() if pid not in before]
        daemon.kill(begun[-1])
        reloading.wait(60)
        assert post(daemon.port)[0] == 200
        if reloading.returncode:
            wait_until(lambda: sorted(daemon.workers()) == sorted(before), 20)
        else:  # it was killed when it served already
            all_serve(daemon, 3)
        assert daemon.ctl("reload").returncode == 0
        assert not set(all_serve(daemon, 3)["pids"]) & set(before)
        assert "Traceback" not in daemon.log


def test_an_end_finishes_the_streams_of_all(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url, config="[listen]\nworkers = 2\nleave_after = 1\n") as daemon, ExitStack() as stack:
        pids = all_serve(daemon)["pids"]
        holds = [fake.hold_next("end") for _ in range(6)]
        streams = [stack.enter_context(Stream(daemon.port)) for _ in holds]
        for hold in holds:
            hold.wait_reached()
        daemon.signal(signal.SIGTERM)
        wait_until(lambda: check_health(daemon.port, "/readyz") == (503, b"leaving\n"))
        daemon.kill(pids[0], signal.SIGSTOP)  # whoever answers says so
        assert check_health(daemon.port, "/readyz") == (503, b"leaving\n")
        daemon.kill(pids[0], signal.SIGCONT)
        for hold in holds:
            hold.release()
        for stream in streams:
            stream.rest()
            assert stream.is_whole
        assert daemon.wait() == 0
        assert daemon.workers() == []


def test_a_worker_that_takes_a_place_while_the_daemon_leaves_says_no_too(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url, config="[listen]\nworkers = 2\nleave_after = 60\n") as daemon:
        killed = all_serve(daemon)["pids"][1]
        daemon.signal(signal.SIGTERM)
        wait_until(lambda: check_health(daemon.port, "/readyz")[0] == 503)
        daemon.kill(killed)
        wait_until(lambda: len(daemon.workers()) == 2 and killed not in daemon.workers())
        wait_until(lambda: daemon.log.count("serves after") == 3)
        wait_until(lambda: all(check_health(daemon.port, "/readyz")[0] == 503 for _ in range(10)))
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0

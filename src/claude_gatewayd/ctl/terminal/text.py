"""The daemon's replies as plain text: the state first, then the details."""

from typing import Any

from claude_gatewayd.ctl.terminal import spending
from claude_gatewayd.system.clock_time import clock_time


def status(reply: dict[str, Any], now: float) -> str:
    """Return the text of `status`."""
    lines = [f"{reply['state']}  {reply['address']}  (claude-gatewayd {reply['version']}, pid {reply['pid']})"]
    for problem in reply["problems"]:
        lines.append(f"  problem      {problem['where']}: {problem['message']}")
        if problem["hint"]:
            lines.append(f"               {problem['hint']}")
    for notice in reply["notices"]:
        lines += _notice(notice, now)
    if reply["predecessors"]:
        pids = ", ".join(map(str, reply["predecessors"]))
        lines.append(f"  predecessor  the worker from before the restart keeps serving, pid {pids}")
    lines.append(f"  up           {duration(reply['uptime'])}")
    config = reply["config"]
    if config["loaded_at"] is not None:
        lines.append(f"  config       {config['path'] or 'built-in defaults'}, loaded {ago(config['loaded_at'], now)}")
    lines.append(f"  Anthropic    {_anthropic(reply['anthropic'], now)}")
    lines.append(f"  Bedrock      {_bedrock(reply['bedrock'], reply['litellm'], now)}")
    found = (reply["bedrock"].get(name, "") for name in ("unreachable", "unreachable_hint"))
    lines += [f"               {line}" for line in found if line]
    lines += [f"               {line}" for line in _refused(reply["bedrock"].get("refused", []))]
    for one in reply["bedrock"].get("denied_models", ()):
        lines.append(f"  no access    {one['model']}, {ago(one['at'], now)}: {one['why']}")
        lines.append(f"               {one['step']}")
    if reply["credentials"] is not None:
        lines += credentials(reply["credentials"], now)
    lines += _litellm(reply["litellm"])
    if unseen := reply.get("unseen_by_callbacks"):
        lines.append(f"  callbacks    have not seen {counted(unseen, 'answer')} from Bedrock, which was asked directly")
    lines += [f"  circuit      {circuit(one, now)}" for one in reply["circuits"]]
    total = sum(reply["requests"].values())
    by_status = ", ".join(f"{count} x {status}" for status, count in reply["requests"].items())
    notes = [by_status]
    if reply["retries"]:
        notes.append(counted(reply["retries"], "retry", "retries"))
    if reply["fallbacks"]:
        notes.append(f"{reply['fallbacks']} answered by Bedrock")
    lines.append(f"  requests     {total}" + (f" ({'; '.join(notes)})" if total else ""))
    if used := spending.today(reply["usage"]):
        lines.append(f"  today        {used}")
    if spent := spending.budget(reply["usage"]["month"]):
        lines.append(f"  budget       {spent}")
    lines += [
        f"  {'' if number else 'ledger':12} {line}" for number, line in enumerate(ledger(reply.get("ledger", {})))
    ]
    lines += [
        f"  {'' if number else 'shared':12} {line}" for number, line in enumerate(shared(reply.get("shared", {}), now))
    ]
    lines.append(f"  in progress  {reply['under_way']}, of which {reply['streams']} streaming")
    for generation in reply["generations"]:
        lines.append(
            f"  generation   {generation['number']} {generation['state']}, {_processes(generation)}, "
            f"since {ago(generation['since'], now)}, {generation['connections']} connections, "
            f"{mebibytes(generation['memory'])}"
        )
    memory = reply["memory"]
    lines.append(f"  memory       supervisor {mebibytes(memory['supervisor'])}, workers {mebibytes(memory['workers'])}")
    last = reply["last_reload"]
    if last is not None:
        lines.append(f"  last reload  {'applied' if last['applied'] else 'refused'} {ago(last['at'], now)}")
        lines += [f"               {p['where']}: {p['message']}" for p in last["problems"]]
    return "\n".join(lines)


def _refused(found: list[dict[str, Any]]) -> list[str]:
    by_model: dict[str, list[str]] = {}
    for one in found:
        by_model.setdefault(one["model"], []).append(one["feature"])
    return [f"asked without what {model} refuses: {', '.join(features)}" for model, features in by_model.items()]


def ledger(how: dict[str, Any]) -> list[str]:
    """Return what a person should know of the ledger's writer; nothing if all is well, or it is off."""
    lines = []
    if how.get("state") == "waiting":
        rows = counted(how["waiting"] + how["spilled"], "row waits", "rows wait")
        lines += [f"cannot be written: {how['why']}; {rows}", *filter(None, [how["hint"]])]
    if how.get("dropped"):
        lines.append(f"{counted(how['dropped'], 'row is', 'rows are')} lost")
    if how.get("set_aside"):
        lines.append(f"a corrupt file is set aside: {how['set_aside']}")
    return lines


def shared(how: dict[str, Any], now: float) -> list[str]:
    """Return how the state is that gateways share; nothing where none is."""
    state = how.get("state", "off")
    if state == "off":
        return []
    since = "" if how["since"] is None else f" since {clock_time(how['since'], now)}"
    if state == "connected":
        others = ", ".join(how["others"])
        return [f"with {others}" if others else f"no other gateway is there ({how['database']})"]
    if state == "connecting":
        return [f"connecting to {how['database']}"]
    what = "nothing is shared" if state == "refused" else "the database is away"
    goes_on = "" if state == "refused" else "; this gateway goes on with what it knows"
    return [f"{what}{since}: {how['why']}{goes_on}", *filter(None, [how["hint"]])]


def circuit(one: dict[str, Any], now: float) -> str:
    """Return the text for an open circuit: for whom, until when, and why."""
    who = f"{one['model']} with credential {one['credential']}"
    return f"{who}: Anthropic is skipped until {clock_time(one['until'], now)} ({one['why']})"


def credentials(how: dict[str, Any], now: float) -> list[str]:
    """Return the lines about the AWS credentials: state, identity, and what expires when."""
    parts = [_state(how, now)]
    if how["account"] or how["role"]:
        parts.append(" ".join(f"{what} {how[what]}" for what in ("account", "role") if how[what]))
    lines = [f"  credentials  {', '.join(parts)}"]
    works = how["state"] in ("ok", "expiring")
    more = []
    if how["token_ends"] is not None and (works or how["token_ends"] <= now):
        renews = "renews itself" if how["refreshable"] and works else "does not renew itself"
        more.append(f"login {_end(how['token_ends'], now)}, {renews}")
    if how["keys_end"] is not None:
        more.append(f"keys {_end(how['keys_end'], now)}")
    if how["next_check"] is not None and how["next_check"] <= now:
        more.append("being fetched now" if how["keys_end"] is None else "being renewed now")
    elif how["next_check"] is not None:
        more.append(f"next {'renewal' if works else 'attempt'} {until(how['next_check'], now)}")
    more += [how["why"], how["hint"]]
    return [*lines, *(f"               {line}" for line in more if line)]


def _end(at: float, now: float) -> str:
    return f"ended {until(at, now)}" if at <= now else f"until {until(at, now)}"


def _state(how: dict[str, Any], now: float) -> str:
    if how["state"] == "ok" and how["works_until"] is None:
        return "ok"
    words = {"login-needed": "login needed"}.get(how["state"], how["state"])
    if how["works_until"] is None:
        return str(words)
    if how["works_until"] <= now:
        return f"{words} since {until(how['works_until'], now)}"
    return f"{words}: Bedrock works until {until(how['works_until'], now)}"


def until(at: float, now: float) -> str:
    """Return a time, and how far away it is."""
    return f"{clock_time(at, now)} ({ago(at, now) if at < now else f'in {duration(at - now)}'})"


def problems(found: list[dict[str, str]]) -> str:
    """Return one paragraph a problem: place, message, hint."""
    return "\n".join(
        f"  {problem['where']}: {problem['message']}" + (f"\n    {problem['hint']}" if problem["hint"] else "")
        for problem in found
    )


def duration(seconds: float) -> str:
    """Return a duration in its two largest units."""
    whole = int(seconds)
    for size, unit, smaller, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller} {small_unit}"
    return f"{whole} s"


def ago(at: float, now: float) -> str:
    """Return how long ago a time was."""
    return f"{duration(max(0.0, now - at))} ago"


def mebibytes(size: int) -> str:
    """Return a size in MiB."""
    return f"{size / 1024 / 1024:.0f} MiB"


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number of things."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def _notice(one: dict[str, Any], now: float) -> list[str]:
    counted_down = ""
    if one["until"] is not None:
        counted_down = f", in {duration(max(0.0, one['until'] - now))}"
    elif one["since"] is not None:
        counted_down = f", for {duration(max(0.0, now - one['since']))}"
    lines = [f"  notice       {one['title']}{counted_down}: {one['message']}"]
    return [*lines, f"               {one['hint']}"] if one["hint"] else lines


def _bedrock(how: dict[str, Any], litellm: dict[str, Any], now: float) -> str:
    if not how["enabled"]:
        return f"off: {how['why']}"
    parts = [how["source"], how["region"], _transport(how, litellm["state"])]
    if how["last_success"] is not None:
        parts.append(f"last success {ago(how['last_success'], now)}")
    if how["last_failure"] is not None:
        parts.append(f"last failure {ago(how['last_failure'], now)} ({how['failure']})")
    return ", ".join(part for part in parts if part)


_NOT_READY = {
    "off": "is not loaded", "loading": "is being loaded", "failed": "has failed", "ready": "does not respond"
}  # fmt: skip


def _transport(how: dict[str, Any], litellm: str) -> str:
    if how.get("transport") != "direct":  # a worker of an older version reports none
        return "through LiteLLM" if how.get("transport") else ""
    return (
        "asked directly"
        if how["through"] == "direct"
        else f"asked directly: LiteLLM {_NOT_READY.get(litellm, litellm)}"
    )


def _litellm(how: dict[str, Any]) -> list[str]:
    state = how["state"]
    if state == "ready":
        is_well = f"ready, {how['version']}, loaded in {how['seconds']:.1f} s"
        lines = [f"  LiteLLM      {how['why'] or is_well}"]
    elif state == "loading":
        lines = [f"  LiteLLM      {how['version']} is being loaded"]
    else:
        lines = [f"  LiteLLM      {'not loaded' if state == 'off' else state}: {how['why']}"]
    if how.get("config"):
        lines.append(f"               {how['config']['path']}")
        for problem in how["config"]["problems"]:
            lines.append(f"  problem      {problem['where']}: {problem['message']}")
            if problem["hint"]:
                lines.append(f"               {problem['hint']}")
    for callback in how.get("callbacks", ()):
        state = "loaded" if callback["loaded"] else f"not loaded: {callback['why']}"
        lines.append(f"  callback     {callback['name']}: {state}")
        if callback.get("hint"):  # a worker of an older version sends none
            lines.append(f"               {callback['hint']}")
    return lines


def _anthropic(how: dict[str, Any], now: float) -> str:
    parts = [{"ok": "ok", "failing": "failing", "unknown": "not asked yet"}[how["state"]]]
    if how["last_success"] is not None:
        parts.append(f"last success {ago(how['last_success'], now)}")
    if how["last_failure"] is not None:
        parts.append(f"last failure {ago(how['last_failure'], now)} ({how['failure']})")
    return ", ".join(parts)


def _processes(generation: dict[str, Any]) -> str:
    pids = generation.get("pids", [generation["pid"]])  # an older daemon has one
    return f"pid {pids[0]}" if len(pids) == 1 else f"pids {', '.join(map(str, pids))}"

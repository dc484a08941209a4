"""What a dashboard is sent, made up: states, requests and a history, as the gateway would have them."""

import copy
import math
import random
from typing import Any, Literal

State = Literal["empty", "busy", "limit-reached", "fallback", "login-needed", "nobody-serves", "broken-configuration"]
MODELS = ("claude-opus-4-8", "claude-sonnet-4-8", "claude-haiku-4-6")
PROJECTS = ("/home/ada/src/analytical-engine", "/home/ada/src/notes-on-menabrea", "/home/ada/src/bernoulli", "")
HOUR, DAY = 3600.0, 86400.0


def status(state: State, now: float) -> dict[str, Any]:
    """Return the status in one state."""
    made = copy.deepcopy(_QUIET)
    made["now"] = now
    made["config"]["loaded_at"] = now - 5 * HOUR
    made["generations"][0]["since"] = now - 5 * HOUR
    made["uptime"] = 3 * DAY + 4 * HOUR
    made["credentials"] |= {
        "token_ends": now + 42 * 60,
        "registration_ends": now + 61 * DAY,
        "keys_end": now + 7.7 * HOUR,
        "works_until": now + 7.7 * HOUR,
        "next_check": now + 20 * 60,
    }
    if state == "empty":
        made["anthropic"] |= {"state": "unknown", "last_success": None}
        made["bedrock"] |= {"enabled": False, "why": "no AWS profile is configured", "source": "", "region": ""}
        made["credentials"] = None
        made["uptime"] = 41.0
        made["generations"][0]["since"] = made["config"]["loaded_at"] = now - 41
        made["ledger"] |= {"state": "ok", "written": 0}
        return made
    made["anthropic"]["last_success"] = now - 2
    made["bedrock"] |= {"last_success": now - 3 * HOUR, "models_listed_at": now - 2 * HOUR}
    made["requests"] = {"200": 4711, "429": 3, "499": 12, "529": 2}
    made |= {"retries": 9, "fallbacks": 37, "streams": 2, "under_way": 3}
    made["usage"] |= {
        "requests": 1391, "tokens": 51_482_120, "cost": 39.03, "billed": 4.11, "fallback_cost": 4.11, "unpriced": 2,
    }  # fmt: skip
    made["usage"]["month"] |= {"bedrock_cost": 41.37, "budget": 50.0}
    made["generations"][0] |= {"streams": 2, "connections": 4, "at_rest": False}
    made["last_reload"] = {"at": now - 5 * HOUR, "applied": True, "problems": []}
    if state in ("limit-reached", "fallback"):
        limit = state == "limit-reached"
        why = "limit reached" if limit else "529"
        message = "a limit of your subscription is reached" if limit else "Anthropic answers 529"
        made["anthropic"] |= {"state": "failing", "last_success": now - 900, "last_failure": now - 4,
                              "failure": "a limit is reached" if limit else "answered 529"}  # fmt: skip
        made["bedrock"] |= {"last_success": now - 1}
        made["circuits"] = [
            {"credential": "6da2", "model": model, "why": why, "until": int(now + (8040 if limit else 47))}
            for model in MODELS[: 1 if limit else 2]
        ]
        made["notices"] = [
            _notice("bedrock-serves", "Claude Code is served by Bedrock since 13:42", message, since=now - 840)
        ]
        if limit:
            made["notices"].append(
                _notice(
                    "budget-near",
                    "83% of this month's budget for Bedrock is spent",
                    "$41.37 of [bedrock] monthly_budget, $50.00",
                )
            )
    elif state == "login-needed":
        made["credentials"] |= {
            "state": "login-needed", "works_until": now + 11 * 60 + 12, "keys_end": now + 11 * 60 + 12,
            "token_ends": now - 60, "why": "the SSO session has ended: AWS refused to renew it (UnauthorizedException)",
            "hint": "claude-gatewayctl sso-login --profile Sandbox.AdministratorAccess", "refreshable": False,
        }  # fmt: skip
        made["notices"] = [
            _notice(
                "login-needed",
                "Bedrock works until 14:14",
                made["credentials"]["why"],
                made["credentials"]["hint"],
                until=now + 11 * 60 + 12,
                is_urgent=True,
            )
        ]
    elif state == "nobody-serves":
        made["anthropic"] |= {"state": "failing", "last_failure": now - 4, "failure": "cannot be reached"}
        made["bedrock"] |= {"last_failure": now - 3, "failure": "AccessDeniedException: you don't have access"}
        made["notices"] = [
            _notice("nobody-serves", "Neither Anthropic nor Bedrock answers",
                    "Anthropic cannot be reached; Bedrock refuses the model",
                    "claude-gatewayctl status", since=now - 90, is_urgent=True)
        ]  # fmt: skip
    elif state == "broken-configuration":
        problem = {
            "where": "/home/ada/.config/claude-gateway/config.toml:2 [anthropic] first_bite_timeout",
            "message": "is not a known key",
            "hint": 'did you mean "first_byte_timeout"?',
        }
        made |= {"state": "refusing", "problems": [problem], "generations": []}
        made["last_reload"] = {"at": now - 20, "applied": False, "problems": [problem]}
    return made


def rows(number: int, now: float, *, fallback: bool = False, seed: int = 7) -> list[dict[str, Any]]:
    """Return requests that have ended, the newest last."""
    chance = random.Random(seed)
    return [row(now - 6.5 * (number - at), at, chance, fallback=fallback) for at in range(number)]


def row(at: float, number: int, chance: random.Random, *, fallback: bool = False) -> dict[str, Any]:
    """Return one request."""
    model = chance.choices(MODELS, (6, 3, 2))[0]
    kind = chance.random()
    made = dict(_ROW, id=f"{int(at * 1000):016x}{number:09d}", started_at=at, model_asked=model, model_served=model)
    made["project"] = chance.choice(PROJECTS)
    made["duration_ms"] = 900 + chance.expovariate(1 / 8000)
    made["first_event_ms"] = min(made["duration_ms"], 450 + chance.expovariate(1 / 700))
    made |= {
        "input_tokens": chance.randrange(3, 2200), "output_tokens": chance.randrange(20, 3800),
        "cache_read_tokens": chance.randrange(9000, 180_000), "cache_write_5m_tokens": chance.randrange(0, 6000),
    }  # fmt: skip
    made["cost"] = round(made["output_tokens"] * 25e-6 + made["cache_read_tokens"] * 5e-7, 6)
    if fallback and kind > 0.2:
        made |= {"upstream": "bedrock", "fallback": "limit", "billing": "aws", "transport": "direct",
                 "model_served": f"us.anthropic.{model}-v1:0"}  # fmt: skip
    elif kind > 0.97:
        made |= {"status": 429, "cost": 0.0, "first_event_ms": None, "output_tokens": 0, "cache_read_tokens": 0,
                 "duration_ms": 212.4, "is_stream": False,
                 "words": "Anthropic refused it: a limit of your subscription is reached (429)."}  # fmt: skip
    elif kind > 0.945:
        made |= {"is_aborted": True, "status": 200, "words": "The client left before the answer had ended."}
    elif kind > 0.9:
        counted = dict.fromkeys(("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens"), 0)
        made |= {"kind": "count_tokens", "is_stream": False, "first_event_ms": None, "cost": 0.0}
        made |= {"duration_ms": 180.2, **counted}
    elif kind > 0.86:
        made |= {"upstream": "bedrock", "fallback": "overloaded", "billing": "aws", "transport": "direct"}
    return made


def history(days: int, now: float, zone: str, *, empty: bool = False) -> dict[str, Any]:
    """Return what was used in a window."""
    size, count = (HOUR, 24) if days == 1 else (DAY, days)
    last = math.floor(now / size) * size
    begins = [last - size * (count - 1 - at) for at in range(count)]
    keys = {
        "model": ["claude-opus-4-8", "claude-sonnet-4-8", "claude-haiku-4-6", "gpt-5.2-codex"],
        "project": [*(name for name in PROJECTS if name), "/srv/loom", "", "other"],
        "upstream": ["anthropic", "bedrock", "litellm"],
    }
    shares = {"model": (64, 24, 9, 3), "project": (41, 27, 15, 9, 5, 3), "upstream": (86, 12, 2)}
    stacks: dict[str, Any] = {}
    chance = random.Random(days)
    weights = [0.0 if empty else _busyness(begin, size, chance) for begin in begins]
    for by, names in keys.items():
        cost, tokens = [], []
        for weight in weights:
            parts = [weight * share / 100 * chance.uniform(0.6, 1.4) for share in shares[by]]
            cost.append([round(part, 4) for part in parts])
            tokens.append([int(part * 1_320_000) for part in parts])
        stacks[by] = {"keys": [] if empty else names, "cost": cost, "tokens": tokens}
    steps = [
        {"key": "", "begin": begin, "end": begin + size, **sums(sum(costs), tokens=sum(counts))}
        for begin, costs, counts in zip(
            begins, stacks["upstream"]["cost"], stacks["upstream"]["tokens"], strict=True
        )
    ]  # fmt: skip
    total = sums(
        sum(sum(part) for part in stacks["upstream"]["cost"]), tokens=sum(s["cache_read_tokens"] for s in steps)
    )

    def ranked(by: str) -> list[dict[str, Any]]:
        stack = stacks[by]
        found = []
        for at, key in enumerate(stack["keys"]):
            spent, used = (sum(step[at] for step in stack[what]) for what in ("cost", "tokens"))
            found.append({"key": key, "begin": None, "end": None, "project": "", **sums(spent, tokens=used)})
        return found

    spans: list[dict[str, Any]] = []
    if not empty:
        for at, weight in enumerate(weights):
            if weight and chance.random() > 0.6:
                begin = begins[at] + chance.uniform(0.1, 0.6) * size
                reason = chance.choice(("overloaded", "overloaded", "limit", "unreachable", "circuit"))
                length = chance.uniform(40, 2 * HOUR if reason == "limit" else 900)
                n = chance.randrange(1, 60)
                spans.append({"begin": begin, "end": begin + length, "requests": n, "cost": n * 0.11, "reason": reason})
    reasons = sorted({str(span["reason"]) for span in spans})
    line = {
        upstream: [
            [begin, base * chance.uniform(0.8, 1.3), base * chance.uniform(1.8, 2.6), base * chance.uniform(3, 5)]
            for begin, weight in zip(begins, weights, strict=True)
            if weight
        ]
        for upstream, base in (("anthropic", 980.0), ("bedrock", 1240.0))
    }
    return {
        "state": "ok", "why": "", "hint": "", "now": now, "zone": zone, "days": days, "since": begins[0],
        "until": last + size, "first_at": None if empty else now - 74 * DAY, "gateway": "ada@engine",
        "step": "hour" if days == 1 else "day", "total": total, "steps": steps,
        "models": ranked("model"), "projects": ranked("project"), "upstreams": ranked("upstream"), "stacks": stacks,
        "fallbacks": {
            "reasons": [
                {
                    "reason": reason,
                    "requests": sum(s["requests"] for s in spans if s["reason"] == reason),
                    "cost": sum(s["cost"] for s in spans if s["reason"] == reason),
                }
                for reason in reasons
            ],
            "line": spans,
        },
        "latencies": [] if empty else [
            {"upstream": "anthropic", "first_event": {"requests": 2740, "p50": 1102.0, "p90": 2290.0, "p99": 4340.0},
             "duration": {"requests": 2762, "p50": 8120.0, "p90": 23_400.0, "p99": 52_100.0}},
            {"upstream": "bedrock", "first_event": {"requests": 37, "p50": 1210.0, "p90": 2310.0, "p99": 4120.0},
             "duration": {"requests": 37, "p50": 7430.0, "p90": 20_300.0, "p99": 41_000.0}},
            {"upstream": "litellm", "first_event": None,
             "duration": {"requests": 4, "p50": 2130.0, "p90": 2500.0, "p99": 2500.0}},
        ],
        "latency_steps": {} if empty else line,
        "month": {
            "month": "2026-11", "begin": now - 28 * DAY, "end": now + 2 * DAY, "billed": 0.0 if empty else 41.37,
            "subscription": 0.0 if empty else 968.2, "billed_estimate": None if empty else 44.1,
            "subscription_estimate": None if empty else 1020.0, "averaged_days": 14, "days_left": 1,
        },
        "unpriced_models": [] if empty else ["gpt-5.2-codex"],
    }  # fmt: skip


def sums(cost: float, *, tokens: int) -> dict[str, Any]:
    """Return sums that fit a cost."""
    requests = int(cost * 40)
    return {
        "requests": requests, "failures": requests // 90, "aborted": requests // 60, "unpriced": requests // 300,
        "fallbacks": requests // 40, "input_tokens": tokens // 90, "output_tokens": tokens // 55,
        "cache_read_tokens": tokens, "cache_write_tokens": tokens // 20, "api": 0.0, "aws": cost * 0.1, "other": 0.0,
        "subscription": cost * 0.9, "fallback_cost": cost * 0.09, "billed": cost * 0.1,
        "cache_hit_ratio": 0.947 if tokens else None,
    }  # fmt: skip


def _busyness(begin: float, size: float, chance: random.Random) -> float:
    """Return what a step cost: less at the week's end, and nothing at night."""
    if size == HOUR:
        hour = begin % DAY / HOUR
        return 0.0 if hour < 7 or hour > 21 else chance.uniform(1, 6)
    weekday = int(begin / DAY + 3) % 7
    return chance.uniform(2, 9) if weekday > 4 else chance.uniform(22, 52)


CONFIGURATION: dict[str, Any] = {
    "path": "/home/ada/.config/claude-gateway/config.toml",
    "values": [
        {"key": key, "value": value, "source": source, "is_secret": is_secret}
        for key, value, source, is_secret in (
            ("listen.host", "127.0.0.1", "default", False),
            ("listen.port", "47000", "default", False),
            ("listen.hosts", "[]", "default", False),
            ("listen.remote", "false", "default", False),
            ("anthropic.base_url", "https://api.anthropic.com", "default", False),
            ("anthropic.first_byte_timeout", "120", "config.toml:4", False),
            ("network.proxy", "http://proxy.example:3128", "environment HTTPS_PROXY", False),
            ("router.fallback", "true", "default", False),
            ("bedrock.profile", "Sandbox.AdministratorAccess", "config.toml:8", False),
            ("bedrock.region", "us-west-2", "config.toml:9", False),
            ("bedrock.monthly_budget", "50", "config.toml:10", False),
            ("bedrock.through", "litellm", "default", False),
            ("ledger.database", "***", "environment CLAUDE_GATEWAY_LEDGER_DATABASE", True),
            ("litellm.load", "on-demand", "default", False),
            ("notify.enabled", "true", "default", False),
        )
    ],
}

FINDINGS: list[dict[str, Any]] = [
    {"check": check, "state": state, "found": found, "why": why, "mend": mend, "fixable": False}
    for check, state, found, why, mend in (
        ("daemon", "ok", "serving on http://127.0.0.1:47000 (pid 22808)", "", ""),
        ("port", "ok", "http://127.0.0.1:47000 answers", "", ""),
        ("service", "ok", "systemd starts it at every login", "", ""),
        ("environment", "ok", "nothing in it leads elsewhere", "", ""),
        ("clock", "fail", "is 12 min 0 s fast", "AWS rejects signatures made with this clock",
         "sudo timedatectl set-ntp true"),
        ("settings", "note", "ANTHROPIC_API_KEY is set in /home/ada/.zshrc:14",
         "Claude Code sends it in place of your login", "unset ANTHROPIC_API_KEY"),
        ("Bedrock", "ok", "bedrock-runtime.us-west-2.amazonaws.com is reachable", "", ""),
        ("disk", "ok", "68 GiB free in /home/ada/.local/state/claude-gateway", "", ""),
        ("permissions", "ok", "private files are private", "", ""),
    )
]  # fmt: skip


def _notice(
    event: str,
    title: str,
    message: str,
    hint: str = "",
    *,
    since: float | None = None,
    until: float | None = None,
    is_urgent: bool = False,
) -> dict[str, Any]:
    return {"event": event, "title": title, "message": message, "hint": hint, "since": since, "until": until,
            "is_urgent": is_urgent}  # fmt: skip


_ROW: dict[str, Any] = {
    "id": "", "started_at": 0.0, "gateway": "ada@engine", "kind": "messages", "status": 200,
    "session_id": "0c7e5ab4-54f6-4d5d-93a1-5b6a52f0c0de", "agent_id": "", "message_id": "msg_01", "project": "",
    "client": "claude-code", "client_version": "2.1.332", "model_asked": "", "model_served": "", "lane": "anthropic",
    "upstream": "anthropic", "transport": "", "fallback": "", "billing": "subscription", "input_tokens": 0,
    "output_tokens": 0, "cache_read_tokens": 0, "cache_write_5m_tokens": 0, "cache_write_1h_tokens": 0, "cost": None,
    "first_event_ms": None, "duration_ms": 0.0, "request_bytes": 1, "answer_bytes": 1, "retries": 0,
    "is_stream": True, "is_aborted": False, "key_name": "", "address": "", "words": "",
}  # fmt: skip

_QUIET: dict[str, Any] = {
    "state": "serving", "problems": [], "version": "0.1.0", "pid": 22808, "uptime": 6.4,
    "address": "http://127.0.0.1:47000", "proven": True, "inherited": True,
    "config": {"path": "/home/ada/.config/claude-gateway/config.toml", "loaded_at": None},
    "anthropic": {"state": "ok", "last_success": None, "last_failure": None, "failure": ""},
    "requests": {}, "retries": 0, "fallbacks": 0, "unseen_by_callbacks": 0,
    "bedrock": {
        "why": "", "enabled": True, "source": "SSO profile Sandbox.AdministratorAccess", "region": "us-west-2",
        "through": "litellm", "transport": "direct", "unreachable": "", "unreachable_hint": "", "last_success": None,
        "last_failure": None, "failure": "", "refused": [], "models_listed_at": None, "denied_models": [],
    },
    "shared": {"state": "off", "database": "", "why": "[shared] url is not set", "hint": "", "since": None,
               "others": []},
    "litellm": {"why": "it loads when it is needed", "state": "off", "version": "1.106.2", "seconds": 0.0,
                "config": None, "callbacks": []},
    "usage": {
        "day": "2026-11-30", "requests": 0, "tokens": 0, "cost": 0.0, "billed": 0.0, "fallback_cost": 0.0,
        "unpriced": 0, "is_complete": True,
        "month": {"month": "2026-11", "bedrock_cost": 0.0, "unpriced": 0, "budget": 0.0},
    },
    "ledger": {"why": "", "state": "ok", "database": "/home/ada/.local/state/claude-gateway/ledger.sqlite3",
               "hint": "", "set_aside": "", "waiting": 0, "spilled": 0, "dropped": 0, "written": 4801},
    "credentials": {
        "state": "ok", "kind": "sso", "source": "SSO profile Sandbox.AdministratorAccess",
        "profile": "Sandbox.AdministratorAccess", "refreshable": True, "token_ends": None, "registration_ends": None,
        "keys_end": None, "works_until": None, "next_check": None, "why": "", "hint": "",
        "account": "111122223333", "role": "AdministratorAccess",
    },
    "circuits": [], "notices": [], "streams": 0, "under_way": 0,
    "generations": [{"number": 3, "pid": 22815, "pids": [22815], "state": "serving", "since": 0.0, "streams": 0,
                     "connections": 0, "memory": 52469760, "at_rest": True}],
    "predecessors": [], "memory": {"supervisor": 26087424, "workers": 52469760}, "last_reload": None,
}  # fmt: skip

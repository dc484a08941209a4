"""What is written to be taken for markup or script goes through the whole daemon, and stays text on the page."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.support.browser import Chromium
from tests.support.daemon import Daemon, wait_until
from tests.support.pages import Browser, link_of
from tests.support.stage import Stage, asking, turn

PAYLOADS = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onfocus=alert(1) autofocus='",
    "<svg/onload=alert(1)>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    "<a href=javascript:alert(1)>x</a>",
    "javascript:alert(1)//",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<style>@import 'http://127.0.0.1:9/x';*{display:none}</style>",
    "<base href=http://127.0.0.1:9/>",
    "<meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>",
    "<template><script>alert(1)</script></template>",
    "&lt;img src=x onerror=alert(1)&gt; &#x3c;b&#x3e;",
    "{{constructor.constructor('alert(1)')()}} ${alert(1)}",
    "]]><!--<img src=x onerror=alert(1)>-->",
    "__proto__",
    "constructor",
    "other",
    "x\u2028data: [] event: status",
)
HOSTILE = PAYLOADS[2]
CONFIG = f"""
[aliases]
{json.dumps(PAYLOADS[0])} = "claude-opus-4-8"

[notify]
command = {json.dumps(f"true {HOSTILE}")}

[litellm]
load = "lazy"

[router]
num_retries = 0
"""


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with FakeAnthropic() as anthropic, FakeBedrock() as bedrock:
        environ = asking(bedrock, "direct") | {"AWS_PROFILE": ""}
        with Daemon(upstream=anthropic.url, config=CONFIG, environ=environ) as daemon:
            one = Stage(anthropic, bedrock, daemon)
            one.prove()
            yield one
            assert "Traceback" not in daemon.log


def in_a_header(payload: str) -> str:
    return payload.encode().decode("latin-1")  # as http.client sends it


def sent_in_each_role(stage: Stage, payload: str) -> None:
    """Make requests that have it wherever a caller or an upstream may put text."""
    names = {
        name: in_a_header(payload) for name in ("x-claude-code-session-id", "x-claude-code-agent-id", "user-agent")
    }
    headers = names | {"x-gateway-project": in_a_header(payload), "anthropic-beta": "x"}
    stage.ask(turn(model=payload), headers=headers)
    stage.ask(turn(model=payload, stream=False), headers=headers)
    stage.anthropic.fail_next(400, message=payload, kind="invalid_request_error")
    stage.ask(turn(), headers=headers)


def shown(page: Page, payload: str) -> str:
    """Return how a page shows a text: its first hundred characters, and what no line has as something else."""
    code = "async (text) => (await import('/gateway/static/dom.js')).plain(text)"
    text: str = page.evaluate(code, payload[:100].replace("\u2028", "?"))
    return text


def test_hostile_texts_stay_texts(stage: Stage, chromium: Chromium) -> None:
    daemon = stage.daemon
    for payload in PAYLOADS:
        sent_in_each_role(stage, payload)
    # of both upstreams: why one failed is shown above the requests
    stage.anthropic.fail_next(529, message=HOSTILE, times=3)
    stage.bedrock.fail_next(message=HOSTILE, kind="ValidationException", path="/", times=3)
    for _ in range(3):
        stage.ask(turn())
    browser = Browser.of(daemon)
    wait_until(lambda: browser.get("/gateway/history?days=1").document["total"]["requests"] >= 3 * len(PAYLOADS))
    with chromium.tab() as tab:
        page = tab.page
        page.goto(link_of(daemon))
        with browser.live() as live:
            expect(page.locator("#rows tr")).to_have_count(len(live.next("requests")))
        models = page.locator("#rows td.model").all_text_contents()
        projects = page.locator("#rows td.project").evaluate_all("cells => cells.map((cell) => cell.title)")
        for payload in PAYLOADS:
            text = shown(page, payload)
            assert text in models
            assert text in projects
        for days in (1, 7):
            page.locator(f"input[name=days][value='{days}']").check(force=True)
            for by in ("model", "project", "upstream"):
                page.locator(f"input[name=by][value='{by}']").check(force=True)
                expect(page.locator("#usage-title")).to_contain_text(by)
                expect(page.locator("#history")).to_have_attribute("aria-busy", "false")
                if by == "model":
                    expect(page.locator("#ranking tbody th", has_text=HOSTILE)).to_have_count(1)
                    ranked = page.locator("#ranking tbody th").all_text_contents()
                    assert {shown(page, payload) for payload in PAYLOADS[1:]} <= set(ranked)  # the first is an alias
        box = page.locator("#usage-chart").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] - 40, box["y"] + 60)  # the readout has the names
        for summary in page.locator("summary:visible").all():
            summary.click()
        expect(page.locator("#configuration-set")).to_contain_text(PAYLOADS[0])
        expect(page.locator("#doctor-aside")).to_contain_text("examined", timeout=90_000)
        found = page.evaluate(
            """() => ({
              elements: [...document.querySelectorAll(
                "img, svg, math, iframe, object, embed, base, template, form, style, meta[http-equiv]")
              ].map((one) => one.outerHTML),
              scripts: [...document.scripts].map((one) => one.src),
              links: [...document.links].map((one) => one.href),
              handlers: [...document.querySelectorAll("*")].flatMap((one) => one.getAttributeNames())
                .filter((name) => name.startsWith("on") || name === "srcdoc" || name === "autofocus"),
            })"""
        )
        assert found["elements"] == []
        assert found["handlers"] == []
        assert found["scripts"] == [f"{daemon.url}/gateway/static/main.js"]
        assert [href for href in found["links"] if not href.startswith(f"{daemon.url}/gateway/#")] == []
        for width in (360, 2560):
            page.set_viewport_size({"width": width, "height": 900})
            assert tab.overflow() == 0
        assert [url for url in tab.asked if not url.startswith(f"{daemon.url}/gateway/")] == []


def test_a_text_in_an_address_is_not_shown(stage: Stage, chromium: Chromium) -> None:
    daemon = stage.daemon
    with chromium.tab(expects=["Failed to load resource"]) as tab:
        for path in ("open?link=<script>alert(1)</script>", "<script>alert(1)</script>", f"?x={HOSTILE}"):
            tab.page.goto(f"{daemon.url}/gateway/{path}")
            assert "alert(1)" not in tab.page.content()
        tab.page.goto(link_of(daemon))
        expect(tab.page.locator("#connection")).to_have_text("live")
        tab.page.goto(f"{daemon.url}/gateway/#<img src=x onerror=alert(1)>")
        tab.page.reload()
        expect(tab.page.locator("#connection")).to_have_text("live")

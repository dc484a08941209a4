"""What is due: a story a test, told by a clock that goes on by itself a minute at a time."""

from typing import Any

import pytest

from claude_gatewayd.aws.snapshot import CredentialKind, CredentialSnapshot, CredentialState
from claude_gatewayd.worker.notices.due import QUIET, SETTLED, NoticeHistory, due, with_known_start
from claude_gatewayd.worker.notices.notice import DAY, Notice, NoticeRules, active, describe_cause
from claude_gatewayd.worker.serving import Serving
from claude_gatewayd.worker.usage.budget import NO_BUDGET, BudgetState

NOON = 1_764_072_000.0  # 12:00 UTC
HOUR = 3600.0
ANTHROPIC, BEDROCK = Serving("anthropic", NOON - HOUR), Serving("bedrock", NOON, "limit reached")
WELL = CredentialSnapshot("unconfigured", "none")
LEGACY = CredentialSnapshot("ok", "sso-legacy", source="profile corp", token_ends=NOON + 2 * HOUR)

pytestmark = pytest.mark.usefixtures("utc")


class Story:
    """A person who is notified, and what has been told so far."""

    def __init__(self, rules: NoticeRules = NoticeRules()) -> None:  # noqa: B008  frozen
        self.rules = rules
        self.history = NoticeHistory()
        self.now = NOON
        self.snapshot = WELL
        self.serving = Serving()

    def look(
        self, snapshot: CredentialSnapshot | None = None, serving: Serving | None = None, at: float | None = None
    ) -> Any:
        """Return the titles of what is due; a second look finds nothing more."""
        self.snapshot = snapshot or self.snapshot
        self.serving = serving or self.serving
        self.now = self.now if at is None else at
        notices, self.history = due(self.snapshot, self.serving, self.history, self.now, self.rules)
        again = due(self.snapshot, self.serving, self.history, self.now, self.rules)
        assert again.notices == []
        assert again.history is self.history
        return [notice.title for notice in notices]

    def until(self, end: float, step: float = 60.0) -> list[tuple[int, str]]:
        """Look each minute until then; return what was notified, and how many minutes before."""
        found = []
        while self.now < end:
            found += [(round((end - self.now) / 60), title) for title in self.look()]
            self.now += step
        return found


# ends


def test_a_token_that_does_not_renew_itself_is_told_of_60_15_and_5_minutes_before_its_end() -> None:
    story = Story()
    assert story.look(LEGACY) == []
    title = "The AWS login of profile corp ends at 14:00"
    assert story.until(NOON + 2 * HOUR) == [(60, title), (15, title), (5, title)]


@pytest.mark.parametrize(
    ("kind", "fields", "title"),
    [
        ("temporary", {"keys_end": NOON + 2 * HOUR}, "The AWS keys of x end at 14:00"),
        ("temporary", {"works_until": NOON + 2 * HOUR}, "The AWS keys of x end at 14:00"),
        ("bearer", {"keys_end": NOON + 2 * HOUR}, "The Bedrock API key of x ends at 14:00"),
        ("login", {"works_until": NOON + 2 * HOUR}, "The AWS login of x ends at 14:00"),
        ("role-chain", {"token_ends": NOON + 2 * HOUR}, "The AWS login of x ends at 14:00"),
    ],
)
@pytest.mark.parametrize("state", ["ok", "expiring"])
def test_so_is_whatever_does_not_renew_itself(
    state: CredentialState, kind: CredentialKind, fields: dict[str, float], title: str
) -> None:
    story = Story()
    story.look(CredentialSnapshot(state, kind, source="x", **fields))  # type: ignore[arg-type]
    assert story.until(NOON + 2 * HOUR) == [(60, title), (15, title), (5, title)]


@pytest.mark.parametrize(
    "snapshot",
    [
        CredentialSnapshot("ok", "sso", refreshable=True, token_ends=NOON + HOUR, keys_end=NOON + HOUR),
        CredentialSnapshot("ok", "process", keys_end=NOON + HOUR),
        CredentialSnapshot("ok", "role-chain", keys_end=NOON + HOUR),
        CredentialSnapshot("ok", "web-identity", keys_end=NOON + HOUR),
        CredentialSnapshot("ok", "container", keys_end=NOON + HOUR),
        CredentialSnapshot("ok", "static"),
        CredentialSnapshot("down", "sso", why="AWS cannot be reached", works_until=NOON + HOUR),
        WELL,
    ],
)
def test_what_renews_itself_or_has_no_end_is_not(snapshot: CredentialSnapshot) -> None:
    story = Story()
    assert story.look(snapshot) == []
    assert story.until(NOON + 2 * HOUR) == []


def test_the_words_for_what_does_not_renew_itself() -> None:
    near = LEGACY._replace(token_ends=NOON + 1800)
    (notice,) = active(near, Serving(), NOON, NoticeRules())
    assert notice.line == (
        "The AWS login of profile corp ends at 12:30: run claude-gatewayctl sso-login "
        "(it does not renew itself, and Bedrock stops when the last keys of it end)"
    )
    keys = CredentialSnapshot("expiring", "temporary", keys_end=NOON + 1800, hint="aws-vault exec corp")
    (notice,) = active(keys, Serving(), NOON, NoticeRules())
    assert (notice.title, notice.hint) == ("The AWS keys end at 12:30", "aws-vault exec corp")
    assert notice.message == "they do not renew themselves, and Bedrock cannot step in after that"


def test_other_times_by_configuration() -> None:
    story = Story(NoticeRules((90, 10)))
    story.look(LEGACY)
    assert [before for before, _ in story.until(NOON + 2 * HOUR)] == [90, 10]
    story = Story(NoticeRules(()))
    story.look(LEGACY)
    assert story.until(NOON + 2 * HOUR) == []


@pytest.mark.parametrize(("wakes_before", "steps"), [(50, [50, 15, 5]), (14, [14, 5]), (3, [3]), (-1, [])])
def test_after_a_sleep_the_nearest_step_is_told_and_those_before_it_are_not(
    wakes_before: int, steps: list[int]
) -> None:
    story = Story()
    story.look(LEGACY)
    story.now = NOON + 2 * HOUR - 60 * wakes_before
    assert [before for before, _ in story.until(NOON + 2 * HOUR)] == steps


def test_a_new_end_is_told_of_anew_and_keys_that_live_shortly_are_no_storm() -> None:
    story = Story()
    story.look(LEGACY)
    assert len(story.until(NOON + 2 * HOUR)) == 3
    story.look(LEGACY._replace(token_ends=NOON + 10 * HOUR))
    assert len(story.until(NOON + 10 * HOUR)) == 3
    story = Story()
    sent = 0
    while story.now < NOON + 5 * HOUR:  # keys of 15 minutes, replaced every 10
        sent += len(story.look(CredentialSnapshot("ok", "temporary", keys_end=story.now + 15 * 60)))
        sent += len(story.until(story.now + 10 * 60))
    assert sent <= 5 * 60 / 15


def test_a_clock_that_is_set_back_tells_nothing_twice() -> None:
    story = Story()
    story.look(LEGACY)
    assert len(story.until(NOON + 2 * HOUR - 10 * 60)) == 2
    story.now = NOON
    assert [before for before, _ in story.until(NOON + 2 * HOUR)] == [5]


# a login that renews itself

SSO = CredentialSnapshot("ok", "sso", source="profile corp", refreshable=True, token_ends=NOON + HOUR)
REFUSED = SSO._replace(state="login-needed", works_until=NOON + 2 * HOUR + 600, why="AWS no longer renews the login")


def test_a_login_that_is_renewed_no_longer_is_told_of_at_once_then_15_and_5_minutes_before() -> None:
    story = Story()
    assert story.look(SSO) == []
    (notice,) = due(REFUSED, Serving(), story.history, NOON, story.rules).notices
    assert notice.line == (
        "Bedrock works until 14:10: run claude-gatewayctl sso-login (AWS no longer renews the login)"
    )
    story.snapshot = REFUSED
    title = "Bedrock works until 14:10"
    assert story.until(NOON + 2 * HOUR + 600) == [(130, title), (15, title), (5, title)]


def test_the_steps_that_are_past_at_the_transition_are_told_by_it() -> None:
    story = Story()
    story.look(SSO)
    story.snapshot = REFUSED._replace(works_until=NOON + 10 * 60)
    assert [before for before, _ in story.until(NOON + 10 * 60)] == [10, 5]


def test_after_a_login_it_may_be_told_again() -> None:
    story = Story()
    assert story.look(REFUSED) == ["Bedrock works until 14:10"]
    login = {"token_ends": NOON + 9 * HOUR}
    assert story.look(SSO._replace(**login), at=NOON + 60) == []  # type: ignore[arg-type]
    assert story.look(REFUSED._replace(**login), at=NOON + 120) == ["Bedrock works until 14:10"]  # type: ignore[arg-type]


def test_a_generation_that_has_not_tried_yet_makes_it_no_news() -> None:
    story = Story()
    assert story.look(REFUSED) == ["Bedrock works until 14:10"]
    for _ in range(30):
        story.now += 120
        assert story.look(SSO._replace(keys_end=None)) == []
        assert story.look(REFUSED) == []


def test_a_trouble_without_a_login_is_told_again_when_it_has_passed_but_is_no_storm() -> None:
    story = Story()
    well = CredentialSnapshot("ok", "static")
    refused = well._replace(state="down", why="AWS does not know these keys", hint="aws configure")
    assert story.look(refused) == ["Bedrock cannot be used"]
    for _ in range(30):
        assert story.look(well) == []
        assert story.look(refused, at=story.now + 10) == []
    assert story.look(well) == []
    assert story.look(refused, at=NOON + QUIET + 1) == ["Bedrock cannot be used"]
    assert story.look(REFUSED, at=NOON + QUIET + 2) == ["Bedrock works until 14:10"]  # another profile
    assert story.look(refused, at=NOON + 3 * QUIET) == ["Bedrock cannot be used"]


def test_a_role_that_is_refused_hides_no_end_of_the_login() -> None:
    story = Story()
    refused = SSO._replace(state="down", why="No access", hint="claude-gatewayctl credentials")
    assert story.look(refused) == ["Bedrock cannot be used"]
    assert story.look(REFUSED, at=NOON + 60) == ["Bedrock works until 14:10"]
    assert story.look(refused, at=NOON + 120) == []
    assert story.look(REFUSED, at=NOON + 180) == []


def test_a_later_end_of_the_keys_is_no_new_transition_and_another_login_is() -> None:
    """While the token lives, a role's keys may still be renewed."""
    story = Story()
    assert story.look(REFUSED) == ["Bedrock works until 14:10"]
    assert story.look(REFUSED._replace(works_until=NOON + 3 * HOUR), at=NOON + HOUR) == []
    another = REFUSED._replace(
        token_ends=NOON + 9 * HOUR, works_until=NOON + 9.5 * HOUR
    )  # both while we were not there
    assert story.look(another, at=NOON + 8.9 * HOUR) == ["Bedrock works until 21:30"]


def test_what_a_person_can_mend_is_told_and_to_be_offline_is_not() -> None:
    story = Story()
    assert story.look(SSO._replace(state="down", why="AWS cannot be reached")) == []
    ended = SSO._replace(state="down", why="the login has ended", hint="claude-gatewayctl sso-login")
    assert story.look(ended) == ["Bedrock cannot be used"]
    assert story.look(ended._replace(why="AWS cannot be reached", hint="")) == []
    assert story.look(ended, at=NOON + DAY) == []


def test_keys_that_outlive_their_login_are_told_of_when_it_has_ended() -> None:
    story = Story()
    story.look(LEGACY)
    story.until(NOON + 2 * HOUR)
    rest = LEGACY._replace(state="login-needed", works_until=NOON + 2.5 * HOUR)
    assert story.look(rest) == ["Bedrock works until 14:30"]
    assert story.look(rest._replace(state="down", works_until=None), at=NOON + 2.5 * HOUR) == []


def test_a_registration_is_told_of_a_day_before_its_end() -> None:
    story = Story()
    end = NOON + 2 * DAY
    assert story.look(SSO._replace(registration_ends=end)) == []
    assert story.until(end, step=600.0) == [(1430, "The AWS login stops renewing itself at Thu 27 Nov 12:00")]


# who serves


def test_bedrock_serves_and_anthropic_is_back() -> None:
    story = Story()
    assert story.look(serving=ANTHROPIC) == []
    (notice,) = due(WELL, BEDROCK, story.history, NOON, story.rules).notices
    assert notice.line == ("Claude Code is served by Bedrock since 12:00: a limit of your subscription is reached")
    assert story.look(serving=BEDROCK) == ["Claude Code is served by Bedrock since 12:00"]
    assert story.look(at=NOON + HOUR) == []
    back = Serving("anthropic", NOON + HOUR)
    assert story.look(serving=back, at=NOON + HOUR + SETTLED - 1) == []
    assert story.look(at=NOON + HOUR + SETTLED) == ["Anthropic is back after 60 min"]
    assert story.look(at=NOON + 2 * HOUR) == []


def test_a_first_answer_of_anthropics_is_no_news() -> None:
    assert Story().look(serving=ANTHROPIC) == []


def test_an_anthropic_that_comes_and_goes_is_no_storm() -> None:
    """A day of it, a change every 20 seconds."""
    story = Story()
    sent: list[str] = []
    while story.now < NOON + DAY:
        sent += story.look(serving=BEDROCK._replace(since=story.now))
        since = story.now = story.now + 20
        sent += story.look(serving=Serving("anthropic", since), at=since + SETTLED)
        story.now = since + 20
    assert len(sent) <= 2 * DAY / QUIET
    sent = []
    while story.now < NOON + 2 * DAY:  # never for long enough to be said to be back
        sent += story.look(serving=BEDROCK._replace(since=story.now))
        sent += story.look(serving=Serving("anthropic", story.now + 1), at=story.now + 1)
        story.now += SETTLED - 2
    assert len(sent) == 1


def test_neither_could_answer() -> None:
    story = Story()
    nobody = Serving("nobody", NOON, "529", "cannot get AWS credentials: the login has ended", "aws sso login")
    (notice,) = due(WELL, nobody, story.history, NOON, story.rules).notices
    assert (notice.hint, notice.message) == (
        "aws sso login",
        "Anthropic answers 529; cannot get AWS credentials: the login has ended",
    )
    assert story.look(serving=nobody) == ["Neither Anthropic nor Bedrock answers"]
    assert story.look(serving=BEDROCK._replace(since=NOON + 60), at=NOON + 60) == [
        "Claude Code is served by Bedrock since 12:01"
    ]
    assert story.look(serving=nobody._replace(since=NOON + 120), at=NOON + 120) == []
    assert story.look(serving=nobody._replace(since=NOON + 120), at=NOON + QUIET) != []
    back = Serving("anthropic", NOON + HOUR)
    assert story.look(serving=back, at=NOON + 2 * HOUR) == ["Anthropic is back after 58 min"]


def test_what_an_earlier_generation_saw_begin_goes_on() -> None:
    history = NoticeHistory(serving=BEDROCK)
    assert with_known_start(Serving("bedrock", NOON + HOUR, "529"), history) == Serving("bedrock", NOON, "529")
    assert with_known_start(Serving("anthropic", NOON + HOUR), history) == Serving("anthropic", NOON + HOUR)
    assert with_known_start(Serving("nobody", NOON + HOUR), history) == Serving("nobody", NOON + HOUR)
    assert with_known_start(Serving("bedrock", NOON + HOUR), NoticeHistory()) == Serving("bedrock", NOON + HOUR)
    assert with_known_start(Serving(), history) == Serving()  # nobody has asked since: it may have passed


# the clock set back, for who serves


def test_a_clock_that_is_set_back_holds_nothing_up() -> None:
    story = Story()
    story.look(serving=BEDROCK)
    story.now = NOON - DAY
    assert story.look(serving=Serving("anthropic", NOON - 1)) == ["Anthropic is back"]
    assert len(story.look(serving=BEDROCK._replace(since=story.now))) == 1


# what is true now


def events(notices: list[Notice]) -> list[str]:
    return [notice.event for notice in notices]


def test_what_stands_is_what_is_true_the_most_urgent_first() -> None:
    rules = NoticeRules()
    assert active(WELL, Serving(), NOON, rules) == []
    assert active(SSO, ANTHROPIC, NOON, rules) == []
    assert active(LEGACY, ANTHROPIC, NOON, rules) == []
    near = LEGACY._replace(token_ends=NOON + 3599)
    assert events(active(near, BEDROCK, NOON, rules)) == ["credentials-end", "bedrock-serves"]
    assert events(active(near, Serving("nobody", NOON, "529"), NOON, rules)) == ["nobody-serves", "credentials-end"]
    assert active(near, ANTHROPIC, NOON, NoticeRules(())) == []
    assert events(active(REFUSED, BEDROCK, NOON, rules)) == ["login-needed", "bedrock-serves"]
    assert events(active(REFUSED, ANTHROPIC, NOON + 5 * HOUR, rules)) == ["bedrock-unusable"]
    assert events(active(SSO._replace(state="down"), ANTHROPIC, NOON, rules)) == ["bedrock-unusable"]
    registered = SSO._replace(registration_ends=NOON + HOUR)
    assert events(active(registered, ANTHROPIC, NOON, rules)) == ["registration-ends"]


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("limit reached", "a limit of your subscription is reached"),
        ("400 limit", "a usage limit of your account is reached"),
        ("400 billing", "your credit at Anthropic is used up, or your organization disabled"),
        ("402 billing", "Anthropic asks for payment"),
        ("529", "Anthropic answers 529"),
        ("connection", "Anthropic cannot be reached"),
        ("timeout", "Anthropic does not answer in time"),
        ("first event overloaded_error", "Anthropic answers overloaded_error"),
        ("", "Anthropic cannot"),
    ],
)
def test_reasons_in_words(why: str, words: str) -> None:
    assert describe_cause(why) == words


def test_a_text_that_is_not_ours_stays_short_and_on_one_line() -> None:
    (notice,) = active(SSO._replace(state="down", why="x\n" * 1000), ANTHROPIC, NOON, NoticeRules())
    assert "\n" not in notice.line
    assert len(notice.line) < 400


def spent(amount: float, limit: float = 50.0, month: str = "2026-12") -> BudgetState:
    return BudgetState(limit, amount, 0, month, NOON + 86400 * 20)


def test_a_budget_is_told_of_once_a_month_at_each_step() -> None:
    history, now, told = NoticeHistory(), NOON, []
    course = [
        spent(0.0), spent(39.9), spent(40.0), spent(45.0), spent(49.99), spent(50.0), spent(51.0), spent(49.0),
        spent(51.0, month="2027-01"),  # at once beyond it: no need to be told that it is near, too
        spent(40.0, month="2027-01"),
        spent(90.0, limit=100.0, month="2027-01"),  # another budget
        spent(500.0, limit=0.0, month="2027-01"),
    ]  # fmt: skip
    for state in course:
        now += 3600
        notices, history = due(WELL, Serving(), history, now, NoticeRules(), state)
        told += [(notice.event, state.month) for notice in notices]
        again = due(WELL, Serving(), history, now + 1, NoticeRules(), state)
        assert again.notices == []
        assert again.history is history
    assert told == [
        ("budget-near", "2026-12"),
        ("budget-reached", "2026-12"),
        ("budget-reached", "2027-01"),
        ("budget-near", "2027-01"),
    ]


def test_a_spent_budget_is_true_until_the_month_ends() -> None:
    (notice,) = active(WELL, Serving(), NOON, NoticeRules(), spent(61.5)._replace(unpriced=2))
    assert notice.title.startswith("This month's budget for Bedrock is spent: no fallback until ")
    assert notice.message == (
        "$61.50 of [bedrock] monthly_budget, $50.00, and 2 requests without a known price; "
        "names that end with -bedrock are still answered"
    )
    assert notice.hint == "claude-gatewayctl config set bedrock.monthly_budget 100 --reload"
    (near,) = active(WELL, Serving(), NOON, NoticeRules(), spent(41.5))
    assert (near.title, near.is_urgent) == ("83% of this month's budget for Bedrock is spent", False)
    assert active(WELL, Serving(), NOON, NoticeRules(), NO_BUDGET) == []

"""A person's home directory as AWS's tools know it: profiles, the SSO cache, and an environment for it."""

import json
import os
from collections.abc import Iterable
from hashlib import sha1
from pathlib import Path
from typing import Any

from tests.fakes.aws import FakeAws
from tests.fakes.aws_state import ACCOUNT, CHAINED_ROLE, ROLE

SESSION = "corp"


class AwsHome:
    """`~/.aws` below *directory*, for *aws*. A profile is added by a verb."""

    def __init__(self, directory: Path, aws: FakeAws) -> None:
        self.path = directory
        self.aws = aws
        self.config = directory / ".aws" / "config"
        self.cache = directory / ".aws" / "sso" / "cache"
        self.config.parent.mkdir(parents=True, exist_ok=True)

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a program that runs for this person."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {**kept, "HOME": str(self.path), **self.aws.environ}

    def section(self, title: str, *lines: str) -> None:
        """Add a section to the config file."""
        with self.config.open("a") as file:
            file.write("\n".join((f"[{title}]", *lines)) + "\n\n")

    def sso_session(self, name: str = SESSION, *, scopes: Iterable[str] = ("sso:account:access",)) -> None:
        """Add an sso-session."""
        said = [f"sso_registration_scopes = {','.join(scopes)}"] if scopes else []
        self.section(
            f"sso-session {name}", f"sso_start_url = {self.aws.start_url}", f"sso_region = {self.aws.region}", *said
        )

    def sso_profile(self, name: str, *, session: str = SESSION, account: str = ACCOUNT, role: str = ROLE) -> None:
        """Add a profile of an sso-session."""
        self.section(f"profile {name}", f"sso_session = {session}", *self._role(account, role))

    def legacy_profile(self, name: str, *, account: str = ACCOUNT, role: str = ROLE) -> None:
        """Add a profile that has its start URL in itself."""
        self.section(
            f"profile {name}",
            f"sso_start_url = {self.aws.start_url}",
            f"sso_region = {self.aws.region}",
            *self._role(account, role),
        )

    def chain_profile(self, name: str, source: str, *, role_arn: str = CHAINED_ROLE) -> None:
        """Add a profile that assumes a role with the keys of another."""
        self.section(
            f"profile {name}", f"role_arn = {role_arn}", f"source_profile = {source}", f"region = {self.aws.region}"
        )

    def token_file(self, key: str = SESSION) -> Path:
        """Return the token file of a session's name, or of a start URL."""
        return self.cache / f"{sha1(key.encode(), usedforsecurity=False).hexdigest()}.json"

    def token(self, key: str = SESSION) -> dict[str, Any]:
        """Return what the token file says."""
        said: dict[str, Any] = json.loads(self.token_file(key).read_text())
        return said

    def write_token(self, token: dict[str, Any], key: str = SESSION) -> Path:
        """Write a token file as the AWS CLI does: in its place."""
        self.cache.mkdir(parents=True, exist_ok=True)
        file = self.token_file(key)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as opened:
            opened.truncate()
            opened.write(json.dumps(token))
        return file

    def log_in(self, key: str = SESSION) -> Path:
        """Log the person in by no flow at all, and write the token file."""
        legacy = key.startswith("http")
        return self.write_token(self.aws.log_in(scopes=() if legacy else ("sso:account:access",)), key)

    def _role(self, account: str, role: str) -> tuple[str, ...]:
        return (f"sso_account_id = {account}", f"sso_role_name = {role}", f"region = {self.aws.region}")

"""A LiteLLM proxy's configuration as it counted there: with the variables of the files beside it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from claude_gatewayd import paths
from claude_gatewayd.ctl.migrate import document, project_files, translate
from claude_gatewayd.ctl.migrate.document import LiteLLMDocument
from claude_gatewayd.ctl.migrate.draft import MigratedConfig
from claude_gatewayd.ctl.migrate.translation import Translation
from claude_gatewayd.ctl.migrate.variables import collect
from claude_gatewayd.errors import GatewayError

# What people call it, and what LiteLLM's own pages do.
NAMES = ("config.yaml", "litellm_config.yaml", "litellm-config.yaml", "proxy_config.yaml", "proxy_server_config.yaml")
# Beside the old file: so callbacks are found where they lie, and find their own neighbours.
LEFT = "claude-gateway.yaml"


class OldProxy(NamedTuple):
    """The file, what stands in it and beside it, what there is to say of the latter, and the proxy's environment."""

    file: Path
    document: LiteLLMDocument
    notes: list[tuple[Path, Translation]]
    environ: Mapping[str, str]

    def translate(self, *, keeps_ledger_there: bool = False) -> MigratedConfig:
        """Return what it comes to; *keeps_ledger_there*: in its PostgreSQL."""
        beside = self.file.parent
        return translate.translate(
            self.document,
            self.environ,
            lambda name: project_files.source_of(beside, name),
            keeps_ledger_there=keeps_ledger_there,
        )


def in_directory(named: Path) -> Path:
    """Return the configuration in a directory, the usual one if there is none; a file as it is."""
    if not named.is_dir():
        return named
    return next((file for name in NAMES if (file := named / name).is_file()), named / NAMES[0])


def read(named: Path) -> OldProxy:
    """Read a configuration, or that of a directory. Raises GatewayError."""
    file = in_directory(paths.absolute(named))
    if file.name == LEFT:
        raise GatewayError(f"cannot import {file}: it was written by an import", "name the proxy's own file")
    old = document.read(file)
    beside = collect.collect(file.parent, os.environ, old.values)
    found = [(one.name, one.value, one.file, one.line) for one in beside.found if one.value is not None]
    environ = {**os.environ, **{name: value for name, value, _, _ in found}}
    return OldProxy(file, old.with_variables(found), beside.notes, environ)

"""Files of the form of .env, as python-dotenv reads them for LiteLLM, and Docker Compose for its services."""

import io
from collections.abc import Mapping
from pathlib import Path

from claude_gatewayd.ctl.migrate.variables.assignment import Assignment


def read(text: str, file: Path, environ: Mapping[str, str]) -> list[Assignment]:
    """Return what a text sets, in its order. *environ* goes before the text in what ${NAME} stands for."""
    from dotenv.parser import parse_stream  # LiteLLM's own
    from dotenv.variables import parse_variables

    found: list[Assignment] = []
    for binding in parse_stream(io.StringIO(text)):
        if binding.key is None or binding.value is None or binding.error:
            continue
        known: dict[str, str | None] = {one.name: one.value for one in found}
        known |= environ
        value = "".join(atom.resolve(known) for atom in parse_variables(binding.value))
        leading = len(binding.original.string) - len(binding.original.string.lstrip("\r\n"))
        line = binding.original.line + binding.original.string[:leading].count("\n")
        found.append(Assignment(binding.key, value, file, line))
    return found

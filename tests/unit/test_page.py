"""The dashboard's page: what is vendored is what was recorded, and nothing in it can run what came from outside."""

import hashlib
import re
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "src" / "claude_gatewayd" / "dashboard" / "static"
VENDOR = STATIC / "vendor"
MODULES = sorted(STATIC.glob("*.js"))
SHEETS = sorted(STATIC.glob("*.css"))
FILES = sorted(file for file in STATIC.rglob("*") if file.is_file())

# What makes markup, code or style of a text.
_DANGEROUS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|createContextualFragment"
    r"|srcdoc|setHTML|cssText|setTimeout\(\s*[\"'`]|javascript:"
)


def test_vendored_files_are_what_was_recorded() -> None:
    lines = (line.split("  ") for line in (VENDOR / "SHA256SUMS").read_text().splitlines())
    recorded = {name: digest for digest, name in lines}
    assert sorted(recorded) == sorted({file.name for file in VENDOR.iterdir()} - {"SHA256SUMS", "README.md"})
    assert {name: hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() for name in recorded} == recorded


def test_the_version_is_one() -> None:
    version = runpy.run_path(str(ROOT / "scripts" / "copy-uplot"))["VERSION"]
    assert f"(v{version})" in (VENDOR / "uPlot.esm.js").read_text()
    assert f"| {version} | MIT" in (VENDOR / "README.md").read_text()


@pytest.mark.parametrize("module", [*MODULES, VENDOR / "uPlot.esm.js"], ids=lambda path: path.name)
def test_a_module_makes_no_code_or_markup_of_a_text(module: Path) -> None:
    assert _DANGEROUS.findall(module.read_text()) == []


def test_the_page_has_no_inline_script_or_style_and_asks_nobody_else() -> None:
    page = (STATIC / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\ssrc=)", page) == []
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=", page) == []
    led_to = re.findall(r"\s(?:src|href)=\"([^\"#]*)\"", page)
    assert len(led_to) > 3
    assert [one for one in led_to if not (STATIC.parent / one).is_file()] == []
    for file in (*MODULES, *SHEETS):
        assert re.findall(r"https?://|\burl\(|@import|@font-face", file.read_text()) == [], file


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_what_a_module_looks_for_is_in_the_page(module: Path) -> None:
    page = (STATIC / "index.html").read_text()
    wanted = set(re.findall(r"\$\(\"([a-z-]+)\"\)", module.read_text()))
    assert {one for one in wanted if f'id="{one}"' not in page} == set()


def test_each_module_is_used_and_small() -> None:
    code = "".join(file.read_text() for file in (*MODULES, STATIC / "index.html"))
    for module in MODULES:
        assert re.search(rf"[/\"]{re.escape(module.name)}\"", code), module
        assert len(module.read_text().splitlines()) <= 400, module
    assert len(MODULES) <= 12


def test_the_wheel_has_the_page(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w"]
    subprocess.run([*command, str(tmp_path), str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        inside = {name: packed.read(name) for name in packed.namelist() if "/dashboard/static/" in name}
    assert inside == {f"claude_gatewayd/{file.relative_to(ROOT / 'src' / 'claude_gatewayd')}": file.read_bytes()
                      for file in FILES}  # fmt: skip


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_words_and_marks_stand_out_from_their_ground(scheme: int) -> None:
    sheet = (STATIC / "base.css").read_text()
    colours = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", sheet.split(":root {")[1 + scheme]))
    grounds = [colours[name] for name in ("ground", "raised", "sunken")]
    washes = [colours[f"{tone}-wash"] for tone in ("ok", "warn", "bad")]
    for word in ("ink", "muted", "link", "ok", "warn", "bad"):
        assert min(contrast(colours[word], ground) for ground in grounds) >= 4.5, word
    for word in ("ink", "muted", "link"):
        assert min(contrast(colours[word], wash) for wash in washes) >= 4.5, word
    marks = [name for name in colours if name.startswith("key-")]
    assert len(marks) == 7
    for mark in (*marks, "anthropic", "bedrock", "litellm", "edge"):
        assert min(contrast(colours[mark], ground) for ground in grounds) >= 3, mark

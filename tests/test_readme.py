"""What README and manual say is true: commands and code run, options and tests exist."""

import ast
import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer

import gstar
from gstar.cli import main
from gstar.cli.app import app
from gstar.errors import GstarError
from gstar.settings import SETTINGS

ROOT = Path(gstar.__file__).parents[2]
PAGES = ("README.md", "docs/cli.md")
CHEAP = {"GSTAR_WORKERS": "0", "GSTAR_LEARNERS": "linear,neighbors", "GSTAR_POLICY": "random", "GSTAR_SHIPPED": "off"}

pytestmark = pytest.mark.skipif(
    not (ROOT / "README.md").exists(), reason="the pages are not part of an installed package"
)


def page(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(command=None, path=()):
    """Yields the words and the command of every leaf."""
    command = command or typer.main.get_command(app)
    children = getattr(command, "commands", {})
    for name, child in children.items():
        yield from commands(child, (*path, name))
    if not children:
        yield path, command


@pytest.fixture
def sandbox(tmp_path, monkeypatch):
    """A folder with the demo table, and settings that make each fit cheap."""
    for name, value in {**CHEAP, "GSTAR_HOME": str(tmp_path / "home")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    for table in (ROOT / "src/gstar/demo").glob("*.csv"):
        shutil.copy(table, tmp_path)
    (tmp_path / "tables").mkdir()
    rows = (tmp_path / "penguins.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "tables" / "penguins.csv").write_text("".join(rows[:1] + rows[1::4]), encoding="utf-8")
    (tmp_path / "tables" / "manifest.csv").write_text(
        "name,file,target,task\nbirds,penguins.csv,species,multiclass\n", encoding="utf-8"
    )
    return tmp_path


def cheap(line):
    """Returns a command that spends little."""
    return re.sub(r"--budget \S+", "--budget 1s" if line.startswith("gstar meta-train") else "--trials 2", line)


@pytest.mark.parametrize("name", PAGES)
def test_commands_run(name, sandbox, capfd):
    targets = re.findall(r"^([\w-]+):", page("Makefile"), re.MULTILINE)
    lines = [line for block in blocks(page(name), "bash") for line in block.splitlines() if line.strip()]
    assert any(line.startswith("gstar ") for line in lines)
    for line in lines:
        words = shlex.split(cheap(line), comments=True)
        if words[:1] == ["gstar"]:
            assert main(words[1:]) == 0, f"{line}\n{capfd.readouterr().err}"
        elif words[:1] == ["make"]:
            assert set(words[1:]) <= set(targets), line
        else:
            assert words[:2] in ([], ["pip", "install"]), f"do not know how to try: {line}"


@pytest.mark.parametrize("name", PAGES)
def test_python_runs(name, sandbox):
    for block in blocks(page(name), "python"):
        few = "trials=2, workers=0, learners=['linear', 'neighbors'], experience='off'"
        exec(compile(re.sub(r"budget_s=\d+", few, block), name, "exec"), {})


def test_readme_has_python():
    assert blocks(page("README.md"), "python")


@pytest.mark.parametrize(
    ("path", "command"), list(commands()), ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_manual_names_every_command_and_option(path, command):
    sections = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", page("docs/cli.md"), re.MULTILINE | re.DOTALL))
    heading = f"gstar {' '.join(path)}"
    own = [f"{title}\n{text}" for title, text in sections.items() if re.fullmatch(rf"{heading}( [\[A-Z-].*)?", title)]
    assert len(own) == 1, f"docs/cli.md has {len(own)} sections for {heading!r}"
    for option in (p for p in command.params if p.param_type_name == "option"):
        text = sections["Common options"] if option.opts[0] in ("--json", "--debug", "--experience") else own[0]
        for flag in option.opts:
            assert f"`{flag}" in text, f"{heading} {flag}"
    for argument in (p for p in command.params if p.param_type_name == "argument"):
        assert argument.metavar in own[0]


def test_manual_names_no_option_that_is_not_there():
    known = {flag for _, command in commands() for p in command.params for flag in p.opts} | {
        "--help",
        "-h",
        "--version",
    }
    assert set(re.findall(r"`(--?[a-z][a-z-]*)", page("docs/cli.md"))) <= known


def test_manual_names_every_setting_and_exit_code():
    text = page("docs/cli.md")
    assert all(f"`{name}`" in text for name in SETTINGS)
    kinds = [GstarError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    for code in {kind.exit_code for kind in kinds} | {0, 130}:
        assert f"| {code} |" in text
        assert re.search(rf"\b{code}\b", page("README.md"))


def test_every_test_that_is_named_exists():
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page("docs/faults.md"))
    assert len(named) > 30
    for file, test in named:
        tree = ast.parse(page(file))
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        assert not test or test in names, f"{file}::{test}"


def test_links_lead_somewhere():
    for name in (*PAGES, "docs/README.md", "docs/faults.md"):
        for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", page(name)):
            assert (ROOT / name).parent.joinpath(link).exists(), f"{name}: {link}"

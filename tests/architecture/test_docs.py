"""What the documentation says of the code is true of the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import yaml

from configs.load import parse_campaign
from configs.model_specs import MODEL_KINDS
from configs.schema import Campaign
from configs.settings import CHECKOUT
from tasks import errors

README = CHECKOUT / "README.md"
ARCHITECTURE = CHECKOUT / "docs" / "architecture.md"
EQUATIONS = CHECKOUT / "docs" / "equations.md"
PAGES = (README, CHECKOUT / "CHANGELOG.md", *sorted((CHECKOUT / "docs").rglob("*.md")))
IMAGES = CHECKOUT / "docs" / "images"
PACKAGES = ("configs", "models", "tasks", "flows", "infra")

_CODE_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_PLACE = re.compile(r"([\w./-]+\.py):(\w+)")
_PATH = re.compile(r"\.?[\w-]+(/[\w.-]+)*\.(py|md|yaml|xml|txt|toml|j2)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def _blocks(page: Path, language: str) -> list[str]:
    """Fenced blocks of a page in a language ("" for none)."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    return [block for name, block in blocks if name == language]


def _prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def _campaign_blocks() -> list[str]:
    return [block for block in _blocks(README, "yaml") if block.startswith("name:")]


def _parsed(raw: dict[str, object]) -> Campaign:
    return parse_campaign(raw, base=CHECKOUT, where="README.md")


def _modules() -> set[str]:
    """Every module of the packages, as a path from the checkout."""
    files = [path for package in PACKAGES for path in (CHECKOUT / package).rglob("*.py")]
    return {path.relative_to(CHECKOUT).as_posix() for path in files if path.name != "__init__.py"}


def _names_defined_in(path: Path) -> set[str]:
    """Names of the functions, methods and classes in a module."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {
        node.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, kinds)
    }


def test_campaign_files_in_the_readme_parse() -> None:
    blocks = _campaign_blocks()

    assert blocks
    for block in blocks:
        _parsed(yaml.safe_load(block))


def test_defaults_in_the_readme_are_the_defaults() -> None:
    least = yaml.safe_load(_campaign_blocks()[0])
    (defaults,) = [yaml.safe_load(b) for b in _blocks(README, "yaml") if b.startswith("seed:")]
    optional = {name for name, field in Campaign.model_fields.items() if not field.is_required()}

    assert optional - {"simulated_people"} == set(defaults)
    for name, section in defaults.items():
        if isinstance(section, dict):
            assert set(Campaign.model_fields[name].annotation.model_fields) == set(section), name  # type: ignore[union-attr]
    assert _parsed(least) == _parsed(least | defaults)


def test_the_readme_shows_a_model_of_every_kind() -> None:
    (block,) = [yaml.safe_load(b) for b in _blocks(README, "yaml") if b.startswith("- {kind:")]
    least = yaml.safe_load(_campaign_blocks()[0])
    competitors = _parsed(least | {"competitors": block}).competitors
    assert {spec.kind for spec in competitors} == set(MODEL_KINDS)


def test_exit_codes_in_the_readme_are_those_of_the_errors() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")]
    table = re.findall(r"^\| (\d) \|", README.read_text(encoding="utf-8"), re.M)

    assert sorted({0} | {kind.exit_code for kind in kinds}) == [int(code) for code in table]


def test_readme_names_every_variable_that_the_code_reads() -> None:
    used = {
        name
        for module in _modules()
        for name in re.findall(r"MADLOOP_[A-Z_]*[A-Z]", (CHECKOUT / module).read_text(encoding="utf-8"))
    }

    assert used == set(re.findall(r"MADLOOP_[A-Z_]*[A-Z]", README.read_text(encoding="utf-8")))


def test_tree_in_the_architecture_has_every_module_and_no_other() -> None:
    tree = _blocks(ARCHITECTURE, "")[0]
    listed = re.findall(r"^(\S+\.py) +\S", tree, re.M)

    assert sorted(_modules()) == sorted(listed)


def test_paths_named_in_architecture_and_equations_exist() -> None:
    for page in (ARCHITECTURE, EQUATIONS):
        spans = [span for span in _CODE_SPAN.findall(_prose(page)) if _PATH.fullmatch(span)]

        assert [span for span in spans if not (CHECKOUT / span).exists()] == [], page


def test_functions_named_in_the_docs_exist() -> None:
    places = [
        place for page in PAGES for span in _CODE_SPAN.findall(_prose(page)) for place in _PLACE.findall(span)
    ]

    assert len(places) > 40
    for file, name in places:
        assert name in _names_defined_in(CHECKOUT / file), f"{file}:{name}"


def test_links_lead_to_files() -> None:
    has_images = IMAGES.is_dir() and any(IMAGES.iterdir())
    dead = []
    for page in PAGES:
        for link in _LINK.findall(_prose(page)):
            target = (page.parent / link.partition("#")[0]).resolve()
            is_due = has_images or target.parent != IMAGES
            if "://" not in link and is_due and not target.exists():
                dead.append(f"{page.relative_to(CHECKOUT)}: {link}")

    assert dead == []


def test_docs_name_no_place_of_one_machine() -> None:
    for page in PAGES:
        found = re.findall(
            r"(?<![\w.~$}])/(?:home|root|work|tmp|Users)/\S*", page.read_text(encoding="utf-8")
        )

        assert found == [], page

"""The rules that keep the rooms apart, read from the source and seen in real processes."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HEAVY = ("torch", "mlflow", "prefect", "great_expectations", "faiss", "pandas")


def sources(root: Path) -> list[Path]:
    return sorted([*(root / "streamrec").rglob("*.py"), *(root / "flows").rglob("*.py")])


def imports(path: Path) -> Iterator[str]:
    """Dotted names that a file imports anywhere in it, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.module or ""


def importers(root: Path, package: str) -> set[str]:
    return {
        path.relative_to(root).as_posix()
        for path in sources(root)
        if any(name == package or name.startswith(package + ".") for name in imports(path))
    }


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("mlflow", ("streamrec/tracking.py", "streamrec/pyfunc/")),
        ("great_expectations", ("streamrec/catalog/suite.py",)),
        ("prefect", ("flows/",)),
        ("faiss", ("streamrec/retrieval/index.py",)),
        ("torchdiffeq", ("streamrec/models/flow/solvers.py",)),
        ("fastapi", ("streamrec/serving/",)),
        ("starlette", ("streamrec/serving/",)),
        ("uvicorn", ("streamrec/serving/run.py",)),
        ("prometheus_client", ("streamrec/serving/metrics.py",)),
        (
            "flows",
            ("flows/", "streamrec/cli.py", "streamrec/commands/refresh.py", "streamrec/commands/retrieve.py"),
        ),
    ],
)
def test_only_one_place_imports(root: Path, package: str, allowed: tuple[str, ...]) -> None:
    found = importers(root, package)
    assert found, f"nothing imports {package}: the rule has lost its subject"
    assert {path for path in found if not path.startswith(allowed)} == set()


@pytest.mark.parametrize("room", ["models", "training"])
def test_models_and_training_need_only_torch_and_the_layout(root: Path, room: str) -> None:
    ours = {"streamrec.layout", "streamrec.errors", "streamrec.models"}
    ours |= {"streamrec.training"} if room == "training" else set()
    known = {*sys.stdlib_module_names, "torch", "safetensors"}
    # Both are imported inside the one function that needs them.
    exceptions = {("flow/solvers.py", "torchdiffeq"), ("flow/coupling.py", "scipy")}
    folder = root / "streamrec" / room
    foreign = {
        f"{path.name}: {name}"
        for path in folder.rglob("*.py")
        for name in imports(path)
        if name.partition(".")[0] not in known
        and (path.relative_to(folder).as_posix(), name.partition(".")[0]) not in exceptions
        and not any(name == o or name.startswith(o + ".") for o in ours)
    }
    assert foreign == set()


def test_rooms_import_only_rooms_before_them(root: Path) -> None:
    order = ["catalog", "interactions", "models", "training", "evaluation", "recommenders"]
    order += ["retrieval", "promotion", "serving"]
    wrong = {
        f"{path.relative_to(root)}: {name}"
        for rank, room in enumerate(order)
        for path in (root / "streamrec" / room).rglob("*.py")
        for name in imports(path)
        for later in order[rank + 1 :]
        if name == f"streamrec.{later}" or name.startswith(f"streamrec.{later}.")
    }
    assert wrong == set()


def test_what_judges_and_what_is_built_upon_knows_no_augmenter(root: Path) -> None:
    wrong = {
        f"{path.relative_to(root)}: {name}"
        for room in ("catalog", "models", "training", "evaluation")
        for path in (root / "streamrec" / room).rglob("*.py")
        for name in imports(path)
        if name.startswith("streamrec.augmenters")
    }
    assert wrong == set()


def test_nothing_is_pickled(root: Path) -> None:
    banned = {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"}
    for path in sources(root):
        assert not {name.partition(".")[0] for name in imports(path)} & banned, path
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            called = ast.unparse(node.func)
            assert called not in {"torch.save", "torch.load"}, f"{path}:{node.lineno}: {called} pickles"
            if called == "np.load":
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert given.get("allow_pickle") == "False", f"{path}:{node.lineno}: np.load may unpickle"


def loaded_by(code: str, *arguments: str) -> set[str]:
    """The heavy packages that a fresh interpreter has imported after running `code`."""
    report = f"\nimport json, sys\nprint(json.dumps([n for n in {HEAVY!r} if n in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", code + report, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("module", ["streamrec", "streamrec.config", "streamrec.cli"])
def test_importing_is_light(module: str) -> None:
    assert loaded_by(f"import {module}") == set()


def test_the_service_imports_without_what_trains_and_orchestrates() -> None:
    assert loaded_by("import streamrec.serving.run") == {"faiss"}
    assert loaded_by("import streamrec.commands.serve, streamrec.serving.settings") == set()


def test_models_import_without_the_rest_of_the_stack() -> None:
    models = "streamrec.models.item_vae, streamrec.models.store"
    models += ", streamrec.models.flow.likelihood, streamrec.models.flow.path"
    assert loaded_by(f"import {models}") <= {"torch"}


def test_querying_a_bundle_never_imports_torch(
    finished_run: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    published = finished_run[0] / "data" / "published"
    code = """
import sys
from streamrec.retrieval.bundle import Bundle
bundle = Bundle.open(sys.argv[1])
item = bundle.searcher.items.table["item_id"][0].as_py()
assert len(bundle.neighbours(item, 5)) == 5
"""
    assert loaded_by(code, str(published)) == {"faiss"}


def test_the_search_command_never_imports_torch(
    finished_run: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    item = "import sys\nfrom streamrec.cli import app\n"
    code = item + "app(sys.argv[1:], standalone_mode=False)"
    out = str(finished_run[0] / "data")
    assert loaded_by(code, "info", "--out", out) <= {"faiss"}
    assert loaded_by(code, "search", "--out", out, "--item", "item_0000000") <= {"faiss"}

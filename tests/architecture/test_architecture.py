"""The rules of the house: who may import whom, how long things are, what is documented, what must not occur."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "laxity"
MODULES = sorted(PACKAGE.rglob("*.py"))

MAY_IMPORT = {
    "core": set(),
    "statistics": {"core"},
    "eda": {"core"},
    "circuits": {"core", "eda"},
    "faults": {"core"},
    "run": {"core"},
    "models": {"core"},
    "targets": {"core", "eda", "circuits"},
    "rtl": {"core", "eda", "circuits"},
    "task": {"core", "models"},
    "sites": {"core", "models", "task"},
    "kernels": {"core", "circuits"},
    "techniques": {"core", "circuits", "faults", "models", "task", "sites", "kernels"},
}
"""What the lower packages may import, besides themselves."""

CHAIN = ("techniques", "emulate", "relevance", "recovery", "evaluation", "campaign", "search", "artifacts", "cli")
"""The packages above: each may import those before it, what those may import, and `ALSO`."""

ALSO = {
    "evaluation": {"targets", "faults", "statistics"},
    "campaign": {"rtl", "run"},
    "search": {"run"},
    "artifacts": {"rtl"},
    "cli": {"eda"},
}

WITHOUT_TORCH = ("core", "statistics", "eda", "circuits", "targets", "faults", "rtl", "run")
MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 60
MAX_DIGITS_BYTES = 200_000
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc"}
GENERIC = {"Exception", "BaseException", "AssertionError", "NotImplementedError"}
MACHINE_PATH = re.compile(r"(?<![\w./:-])/(?:home|root|Users|work|mnt|tmp|var|opt|srv|scratch)/[\w.-]")


def allowed() -> dict[str, set[str]]:
    """For every package, the packages it may import."""
    table = {name: set(below) for name, below in MAY_IMPORT.items()}
    for lower, upper in itertools.pairwise(CHAIN):
        table[upper] = table[lower] | {lower} | ALSO.get(upper, set())
    return table


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def package_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def imports(tree: ast.AST) -> Iterator[str]:
    """Names of imported modules, also inside functions; imports for type checkers only do not count."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for other in node.orelse:
                yield from imports(other)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from imports(node)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)))


def public(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Public classes, functions and methods of a module or class."""
    for node in body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{prefix}{node.name}.")


@pytest.fixture(params=MODULES, ids=name_of)
def module(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_there_is_something_to_check() -> None:
    assert len(MODULES) > 100
    assert {package_of(m) for m in MODULES} - {"", "testing"} == set(allowed())


def test_import_direction(module: Path) -> None:
    package = package_of(module)
    if package in ("", "testing"):
        return
    reached = {name.split(".")[1] for name in imports(tree_of(module)) if name.startswith("laxity.")}
    packages = reached & (set(allowed()) | {"testing"})
    assert packages - {package} <= allowed()[package], f"{package} must not import these"


def test_packages_for_hardware_people_import_no_torch(module: Path) -> None:
    if package_of(module) in WITHOUT_TORCH:
        assert not [name for name in imports(tree_of(module)) if name.split(".")[0] in ("torch", "torch_pruning")]


@pytest.mark.parametrize("package", WITHOUT_TORCH)
def test_torch_is_not_loaded(package: str) -> None:
    modules = [m for m in MODULES if package_of(m) == package]
    names = ["laxity"] + [
        ".".join(m.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__") for m in modules
    ]
    code = f"import importlib, sys; [importlib.import_module(n) for n in {names}]; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_lengths(module: Path) -> None:
    lines = module.read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_FILE_LINES
    for function in functions(tree_of(module)):
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        assert length <= MAX_FUNCTION_LINES, f"{function.name} has {length} lines"


def test_most_functions_are_short() -> None:
    lengths = sorted((f.end_lineno or 0) - f.lineno + 1 for m in MODULES for f in functions(tree_of(m)))
    assert lengths[len(lengths) * 9 // 10] <= 25


def test_documented(module: Path) -> None:
    tree = tree_of(module)
    missing = [name for name, node in public(tree.body) if not ast.get_docstring(node)]  # type: ignore[arg-type]
    if module.stat().st_size:
        missing += [] if ast.get_docstring(tree) else ["the module"]
    assert not missing


def test_annotated(module: Path) -> None:
    missing = []
    for function in functions(tree_of(module)):
        arguments = function.args
        named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        named += [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
        bare = [a.arg for a in named if a.annotation is None and a.arg not in ("self", "cls")]
        if bare or function.returns is None:
            missing.append(f"{function.name}: {', '.join(bare) or 'return type'}")
    assert not missing


def test_no_generic_exception_is_raised(module: Path) -> None:
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            assert not (isinstance(raised, ast.Name) and raised.id in GENERIC), f"line {node.lineno}"


def test_no_print_outside_the_command_line(module: Path) -> None:
    if package_of(module) != "cli":
        calls = [n for n in ast.walk(tree_of(module)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
        assert not [f"line {n.lineno}" for n in calls if isinstance(n.func, ast.Name) and n.func.id == "print"]


def test_nothing_loaded_is_executed(module: Path) -> None:
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            options = {k.arg: ast.unparse(k.value) for k in node.keywords}
            assert called not in ("eval", "exec", "pickle.load", "pickle.loads"), f"line {node.lineno}"
            if called == "torch.load":
                assert options.get("weights_only") == "True", f"line {node.lineno}"
            if called in ("np.load", "numpy.load"):
                assert options.get("allow_pickle") == "False", f"line {node.lineno}"


def test_names_say_something(module: Path) -> None:
    assert module.stem not in VAGUE
    assert not VAGUE & set(module.relative_to(PACKAGE).parts)


def committed() -> list[Path]:
    """Text files under version control, or all of them where there is no git."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [f for f in files if f.is_file() and f.suffix not in (".npz", ".safetensors", ".png")]


def test_no_path_of_a_machine_is_committed() -> None:
    found = []
    for file in committed():
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            if MACHINE_PATH.search(line) and file != Path(__file__).resolve():
                found.append(f"{name_of(file)}:{number}: {line.strip()[:100]}")
    assert not found, "\n".join(found)


def test_machine_paths_are_recognised() -> None:
    for path in ("/home/me/data", "see /tmp/x.txt", "'/root/.cache'", "(/opt/wheels)"):
        assert MACHINE_PATH.search(path)
    for text in ("https://a.b/home/x", "docs/tmp/x", "runs/opt/x", "kJ/opt"):
        assert not MACHINE_PATH.search(text)


def test_the_two_commands_of_the_readme_exist() -> None:
    commands = set(re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"demo", "test"} <= commands <= targets


def test_every_requirement_is_pinned() -> None:
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wanted = set(re.findall(r'^\s*(?:\w+ = \[)?"([a-z][a-z0-9-]*)>=', text, re.MULTILINE)) - {"setuptools"}
    normal = {re.sub(r"[-_.]+", "-", name).lower() for name in pinned}
    assert wanted >= {"torch", "numpy", "pytest"}
    assert wanted <= normal
    assert not [name for name, version in pinned.items() if "+" in version]


def test_the_embedded_task_is_small() -> None:
    files = [*(PACKAGE / "task" / "data").glob("digits*"), *(PACKAGE / "models" / "weights").glob("digits*")]
    assert len(files) >= 4
    assert sum(f.stat().st_size for f in files) <= MAX_DIGITS_BYTES

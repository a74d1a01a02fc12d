"""Allowed imports, checked in fresh interpreters and in every line of the source."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent
_OURS = {"batch", "stream", "serve", "store", "cron", "tests", "benchmarks"}
_HEAVY = {"numpy", "pandas", "pyarrow", "scipy", "implicit"}
_FORBIDDEN = {
    "store": _OURS - {"store"} | _HEAVY | {"falcon", "bjoern", "annoy", "schedule", "tqdm"},
    "batch": {"stream", "serve", "cron", "tests", "benchmarks", "falcon", "bjoern"},
    "stream": {"serve", "cron", "tests", "benchmarks", "falcon", "bjoern"},
    "serve": _OURS - {"serve", "store"} | _HEAVY,
    "cron": _OURS - {"cron", "store"} | _HEAVY | {"falcon", "bjoern", "annoy"},
}
_SERVE_FOLDERS = ("supervisor", "worker", "resources", "admin")
_SERVE_IMPORTS = {
    "": {""},  # the files that several processes share
    "resources": {"", "resources", "worker"},
    "worker": {"", "resources", "worker"},
    "pages": {"", "pages", "resources", "worker"},
    "admin": {"", "admin", "pages", "resources"},
    "supervisor": {"", "supervisor", "worker", "admin"},
}
_IMPORTED_BY_SUPERVISOR = {  # what runs in a child after the fork
    "serve.worker.app",
    "serve.worker.state",
    "serve.worker.worker",
    "serve.worker.index",
    "serve.worker.served",
    "serve.admin.process",
}
_LOADED_BY = """
import importlib, sys
before = set(sys.modules)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*{name.partition(".")[0] for name in set(sys.modules) - before})
"""


def modules(package):
    """Return the names of all modules of a package."""
    files = (path.relative_to(_ROOT).with_suffix("") for path in (_ROOT / package).rglob("*.py"))
    names = (".".join(file.parts) for file in files)
    return sorted(name.removesuffix(".__init__") for name in names)


def loaded_by(*names):
    """Return the top packages that a fresh interpreter has after importing `names`."""
    done = subprocess.run(
        [sys.executable, "-c", _LOADED_BY, *names],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def imports(source):
    """Return the top packages that a source names in any import, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").partition(".")[0])
    return found


def test_store_knows_lmdb_and_the_standard_library_alone():
    """Every module of it is loaded, and nothing else comes along."""
    assert loaded_by(*modules("store")) - sys.stdlib_module_names == {"store", "lmdb"}


@pytest.mark.parametrize("name", ["serve.worker.app", "serve.supervisor.supervisor"])
def test_a_worker_starts_small(name):
    """The server's process never holds NumPy, pandas or the batch."""
    loaded = loaded_by(name)
    assert "store" in loaded
    assert loaded & _FORBIDDEN["serve"] == set()


@pytest.mark.parametrize("package", ["stream", "serve", "cron"])
def test_no_module_loads_what_its_package_may_not_know(package):
    """All its modules in one fresh interpreter."""
    loaded = loaded_by(*modules(package))
    assert package in loaded
    assert loaded & _FORBIDDEN[package] == set()


@pytest.mark.parametrize("package", _FORBIDDEN)
def test_no_line_imports_what_its_package_may_not_know(package):
    """Not even inside a function that no test calls."""
    files = sorted((_ROOT / package).rglob("*.py"))
    wrong = {str(file): imports(file.read_text()) & _FORBIDDEN[package] for file in files}
    assert files != []
    assert {file: names for file, names in wrong.items() if names} == {}


def modules_imported(source):
    """Return the modules that a source names in any import, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def serve_folder(module):
    """Return the folder of a module of serve, empty for the shared files."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in _SERVE_FOLDERS else ""


def imports_within_serve():
    """Return each file of serve but the command, with the modules of serve that it imports."""
    files = sorted((_ROOT / "serve").rglob("*.py"))
    return {
        file.relative_to(_ROOT): {
            name for name in modules_imported(file.read_text()) if name.startswith("serve.")
        }
        for file in files
        if file.name != "__main__.py"
    }


def test_serve_imports_only_downhill():
    """No file under worker or resources imports the supervisor; shared files import no folder."""
    uphill = {}
    for file, imported in imports_within_serve().items():
        folder = file.parts[1] if len(file.parts) > 2 else ""
        for name in imported:
            if serve_folder(name) not in _SERVE_IMPORTS[folder]:
                uphill[str(file)] = name

    assert uphill == {}


def test_the_supervisor_imports_only_what_its_children_run():
    """Not the parts of a worker or of the admin process behind their entry points."""
    found = set()
    for file, imported in imports_within_serve().items():
        if file.parts[1] == "supervisor":
            found |= {name for name in imported if serve_folder(name) in ("worker", "admin")}

    assert found == _IMPORTED_BY_SUPERVISOR


def test_serve_has_no_import_cycle():
    """Modules can be sorted so that each imports only earlier ones."""
    graph = {
        ".".join(file.with_suffix("").parts): imported
        for file, imported in imports_within_serve().items()
    }

    assert [*graphlib.TopologicalSorter(graph).static_order()] != []


def test_an_import_inside_a_function_is_seen():
    """The twin: the search finds every form of an import, and no relative one."""
    source = "import a.b, c as d\nfrom e.f import g\ndef h():\n    import i\nfrom . import j\n"
    assert imports(source) == {"a", "c", "e", "i"}


def test_a_heavy_import_is_seen():
    """The twin: a fresh interpreter that loads NumPy says so."""
    assert "numpy" in loaded_by("store.ids", "numpy")

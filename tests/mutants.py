"""Mutation testing of one module at a time: the mutants of mutmut, each in a process forked after the tests are collected.

``mutmut run`` collects the tests again for every mutant, which takes longer here than the tests. This driver lets mutmut
write its mutants (all of a module in one file, chosen by ``MUTANT_UNDER_TEST`` at every call) into a copy of the project,
collects the tests once, runs them once to see which functions each reaches and how long it takes, and forks a process
for each mutant, which runs the tests that reach its function up to the first that fails: those first that have killed
most mutants of the same function, then the fastest.

    python tests/mutants.py constructions/algebra/rings.py --sample 60 -- tests/constructions/algebra tests/helpers

Without ``--sample`` every mutant is run. A mutant is killed by a test that fails, or by running past its time (three
times that of its tests, and five seconds). One that no test reaches has survived. What is computed while modules are
imported is that of the code without the change: such mutants survive and are not killed by it. mutmut changes no
function with a decorator, which would leave out every growth rule and every reference: decorators are written as calls.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import functools
import gc
import importlib
import inspect
import json
import math
import mmap
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from _pytest.runner import runtestprotocol

PACKAGES = ("constructions", "precls_theory")
ROOT = Path(__file__).resolve().parents[1]
COPIED = ("constructions", "precls_theory", "tests", "pyproject.toml", "README.md", "CHANGELOG.md", "constraints.txt")
KEPT = ("overload", "abstractmethod", "staticmethod", "classmethod")
"""Decorators that stay: without a body of their own, or known to mutmut."""
MEMORY = 12 << 30  # bytes of address space: a mutant that allocates without end is killed, not the machine


class Run(NamedTuple):
    seconds: float
    passed: bool
    reached: list[str]


def forked(work: Callable[[], int], seconds: float) -> int:
    """Exit status of ``work`` in a process of its own; negative for the signal that ended it."""
    sys.stdout.flush()
    if not (child := os.fork()):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        status = 1
        try:
            status = work()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def passes(item: pytest.Item) -> bool:
    return all(report.passed or report.skipped for report in runtestprotocol(item, nextitem=None, log=False))


class Mutants:
    """The pytest plugin that runs mutants in place of tests."""

    def __init__(self, module: str, names: list[str], slowest: float) -> None:
        self.module, self.names, self.slowest = module, names, slowest
        self.survived: list[str] = []
        self.timed_out: list[str] = []

    def observed(self, items: list[pytest.Item]) -> dict[str, Run]:
        """What each test reaches, seen in a process of its own: the caches of this one stay empty."""
        from mutmut.mutation import trampoline

        with tempfile.NamedTemporaryFile("r") as file:

            def work() -> int:
                reached: set[str] = set()
                trampoline.record_trampoline_hit = lambda name, caller=None: reached.add(name)
                trampoline.set_mutant_under_test("stats")
                runs = {}
                for item in items:
                    reached.clear()
                    self.empty_caches()
                    start = time.perf_counter()
                    passed = passes(item)
                    runs[item.nodeid] = Run(time.perf_counter() - start, passed, sorted(reached))
                Path(file.name).write_text(json.dumps(runs))
                return 0

            if status := forked(work, 600):
                raise pytest.UsageError(f"the tests themselves ended with status {status}")
            return {name: Run(*run) for name, run in json.load(file).items()}

    def empty_caches(self) -> None:
        for cache in self.caches:
            cache.cache_clear()

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        from mutmut.mutation.trampoline import set_mutant_under_test

        kept = [entry for entry in gc.get_objects() if type(entry) is functools._lru_cache_wrapper]
        self.caches = [cache for cache in kept if cache.__module__.startswith(PACKAGES)]
        runs = self.observed(session.items)
        self.empty_caches()  # of results from while the tests were imported, without a change
        if failed := [name for name, run in runs.items() if not run.passed]:
            raise pytest.UsageError(f"tests that fail without any change: {', '.join(failed)}")
        items = sorted(session.items, key=lambda item: runs[item.nodeid].seconds)
        left_out = [item.nodeid for item in items if runs[item.nodeid].seconds > self.slowest]
        print(
            f"{len(items) - len(left_out)} tests; left out as slower than {self.slowest} s: {', '.join(left_out) or 'none'}"
        )
        start = time.perf_counter()
        kills: defaultdict[str, Counter[str]] = defaultdict(Counter)
        tried = mmap.mmap(-1, 2)  # shared with the children: how many tests each has begun
        gc.freeze()  # or the first collection of each child copies every page
        for done, name in enumerate(self.names, 1):
            function = name.rpartition("__mutmut_")[0]
            chosen = [item for item in items if function in runs[item.nodeid].reached and item.nodeid not in left_out]
            chosen.sort(key=lambda item: -kills[function][item.nodeid])

            def work(name: str = name, chosen: list[pytest.Item] = chosen) -> int:
                resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
                set_mutant_under_test(name)
                for count, item in enumerate(chosen, 1):
                    tried[:] = count.to_bytes(2, "big")
                    if not passes(item):
                        return 1
                return 0

            tried[:] = b"\0\0"
            status = forked(work, 5 + 3 * sum(runs[item.nodeid].seconds for item in chosen))
            if status and (last := int.from_bytes(tried[:], "big")):
                kills[function][chosen[last - 1].nodeid] += 1
            if status == 0:
                self.survived.append(name)
                print(f"survived ({len(chosen)} tests): {name}\n{change(name)}", flush=True)
            elif status == -signal.SIGALRM:
                self.timed_out.append(name)
            if done % 25 == 0:
                print(f"[{done}/{len(self.names)}] {time.perf_counter() - start:.0f} s", flush=True)
        return True


def change(name: str) -> str:
    """The lines in which a mutant differs from the function as it is."""
    module, _, mangled = name.rpartition(".")
    functions = importlib.import_module(module)
    owner = functions
    if mangled.startswith("xǁ"):
        for part in mangled.split("ǁ")[1].split("."):
            owner = getattr(owner, part)
    before, after = (
        inspect.getsource(getattr(vars(owner)[key], "__func__", vars(owner)[key])).replace(key, mangled).splitlines()
        for key in (mangled.rpartition("__mutmut_")[0] + "__mutmut_orig", mangled)
    )
    lines = difflib.unified_diff(before, after, n=0, lineterm="")
    return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))


def undecorated(source: str) -> str:
    """The same module with ``@wrap def f`` written as ``def f`` and ``f = wrap(f)``: mutmut leaves decorated functions alone."""
    lines = source.splitlines()
    tree = ast.parse(source)
    bodies = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]
    functions = [node for body in bodies for node in body if isinstance(node, ast.FunctionDef) and node.decorator_list]
    for function in sorted(functions, key=lambda function: -function.lineno):
        wraps = [ast.unparse(decorator) for decorator in function.decorator_list]
        if any(wrap in KEPT or wrap.endswith(".setter") for wrap in wraps):
            continue
        indent, name = " " * function.col_offset, function.name
        assert function.end_lineno is not None
        lines[function.end_lineno : function.end_lineno] = [f"{indent}{name} = {wrap}({name})" for wrap in wraps[::-1]]
        del lines[function.decorator_list[0].lineno - 1 : function.lineno - 1]
    return "\n".join(lines) + "\n"


def mutated(module: str, to: Path) -> list[str]:
    """Write the module with its mutants over the copy in ``to``; their names, sorted."""
    os.chdir(to)  # mutmut reads its configuration from the folder it is in
    from mutmut.mutation.file_mutation import mutate_file_contents

    result = mutate_file_contents(module, undecorated((ROOT / module).read_text()))
    (to / module).write_text(result.code)
    dotted = module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return sorted(f"{dotted}.{name}" for name in result.mutant_names)


def wilson(killed: int, of: int, z: float = 1.96) -> float:
    """Lower end of the 95% Wilson interval of a share."""
    if not of:
        return 0.0
    share = killed / of
    middle, spread = share + z * z / (2 * of), z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return (middle - spread) / (1 + z * z / of)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module", help="the file to change, from the root: constructions/algebra/rings.py")
    parser.add_argument("--sample", type=int, help="so many mutants, random.Random(SEED).sample of the sorted names")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", help="mutants by name, as after `survived`")
    parser.add_argument("--slowest", type=float, default=1.0, help="leave out tests that take longer (s)")
    cut = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    options, tests = parser.parse_args(sys.argv[1:cut]), sys.argv[cut + 1 :]  # after --: tests and options of pytest
    sys.dont_write_bytecode = True
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in COPIED:
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / name)
        every = names = mutated(options.module, copy)
        if options.sample is not None and options.sample < len(names):
            names = random.Random(options.seed).sample(names, options.sample)
        names = options.only or names
        sys.path.insert(0, folder)
        mutants = Mutants(options.module, names, options.slowest)
        start = time.perf_counter()
        plain = "-p no:xdist -p no:cacheprovider -q -s --tb=no --hypothesis-profile=mutation --rootdir"
        status = pytest.main([*plain.split(), folder, *tests], plugins=[mutants])
        if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            sys.exit(int(status))
        killed = len(names) - len(mutants.survived)
        print(
            f"{options.module}: {len(every)} mutants, {len(names)} run, {killed} killed (of these "
            f"{len(mutants.timed_out)} out of time), {len(mutants.survived)} survived; at least "
            f"{wilson(killed, len(names)):.1%} (95%, Wilson); {time.perf_counter() - start:.0f} s"
        )


if __name__ == "__main__":
    main()

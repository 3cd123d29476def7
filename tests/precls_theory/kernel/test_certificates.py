"""Certificates of saved networks: every algorithm is proved, every change is refused by the kernel, the evaluator agrees."""

import dataclasses
import hashlib
import json
import random
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import constructions as C
from constructions.algebra.filters import Filter
from constructions.networks.layer import Layer, SparseMap
from precls_theory.cli import check
from precls_theory.cli.main import app
from precls_theory.kernel import certificates
from precls_theory.kernel.certificates import check_file, definition, require_short, verdicts
from precls_theory.kernel.export import NotCovered, stream
from precls_theory.kernel.library import build, run_coq
from precls_theory.theorems.descent.layouts import unmasked

runner = CliRunner()
SIZE = {"n_points": 2, "n_dims": 2}
STEP = Fraction(1, 10)
NETWORKS = {
    **{
        f"{form} {layout}": (
            C.gradient_descent, {**SIZE, "n_steps": 4, "step_size": STEP, "form": form, "layout": layout},
        )
        for form in ("residual", "gram", "doubling", "tight")
        for layout in "AES"
    },
    **{f"heavy ball {layout}": (
        C.heavy_ball, {**SIZE, "n_steps": 3, "step_size": STEP, "momentum": Fraction(1, 3), "layout": layout}
    ) for layout in "AES"},
    **{f"Chebyshev {layout}": (
        C.chebyshev, {**SIZE, "n_steps": 3, "lower": Fraction(1, 7), "upper": 3, "layout": layout}
    ) for layout in "AES"},
    **{f"Newton {form} {t}": (
        C.newton, {**SIZE, "n_iters": t, "alpha": Fraction(1, 7), "form": form}
    ) for form in ("direct", "residual", "doubling") for t in (0, 1, 3)},
    **{f"Newton {form} {t} refined {r}": (
        C.newton, {**SIZE, "n_iters": t, "alpha": Fraction(1, 7), "form": form, "refinements": r}
    ) for form in ("residual", "doubling") for t, r in ((0, 1), (2, 1), (1, 2))},
    "Newton, alpha 1": (C.newton, {**SIZE, "n_iters": 2, "alpha": 1}),
    "step size 0": (C.gradient_descent, {**SIZE, "n_steps": 3, "step_size": 0, "form": "gram"}),
    "one column": (C.gradient_descent, {"n_points": 1, "n_dims": 1, "n_steps": 1, "step_size": 1, "form": "tight"}),
    "read": (C.read, {"n_rows": 4, "n_channels": 3, "source": 1, "target": 2, "start": 0, "stop": 2}),
    "read, circular": (
        C.read, {"n_rows": 4, "n_channels": 3, "source": 3, "target": 1, "start": 1, "stop": 3, "mode": "circular"},
    ),
    "linear": (C.linear, {"n_rows": 2, "weight": [[1, 2, Fraction(1, 3)], [0, 4, 5]], "bias": [1, 0, 3]}),
    "linear, equal columns": (C.linear, {"n_rows": 2, "weight": [[1, 1, 0], [0, 0, 0]]}),
    "multiply": (C.multiply, {"n_rows": 2, "n_channels": 4, "left": 0, "right": 2, "target": 1, "length": 2}),
}  # fmt: skip
MUTATED = (
    "residual A", "gram S", "doubling A", "tight E", "heavy ball A", "Chebyshev A", "Newton direct 3", "Newton residual 3",
    "Newton doubling 3", "Newton doubling 2 refined 1", "read", "linear", "multiply",
)  # fmt: skip
N_CHANGES = 300


def built(name):
    construction, parameters = NETWORKS[name]
    return construction(**parameters)


def test_the_data_are_integers_alone():
    for name in NETWORKS:
        assert all(type(number) is int for number in stream(built(name))), name


def test_no_text_of_a_file_reaches_coq():
    network = built("read")
    evil = dataclasses.replace(network, inputs=("x. Axiom a : False.", *network.inputs[1:]))
    assert re.fullmatch(r"[-\d\s;:=\[\]A-Za-z_+.]*", definition("network", stream(evil)))
    assert "Axiom" not in definition("network", stream(evil))
    with pytest.raises(TypeError, match="integers alone"):
        definition("network", ["1. Axiom a : False"])


@pytest.mark.parametrize("name", ["u[00]", "u[0,0]", "u[٠]", "u", "u[0]\n", "u[1000000]", "is_start[0]", "P[0]"])
def test_a_channel_has_one_spelling(name):
    network = built("read")
    renamed = dataclasses.replace(network, inputs=(name, *network.inputs[1:]))
    base, other = stream(network), stream(renamed)
    assert [new for new, old in zip(other, base, strict=True) if new != old] == [0], "an unknown name is [0, 0, 0]"


def test_long_numbers_are_written_in_sixteens():
    numbers = [10**5000, -(10**5000), 2**64, -(2**64), 7, -7]
    written = re.search(r":= \[:: (.*)\]\.", definition("network", numbers))
    assert [int(word.strip("()"), 0) for word in written[1].split("; ")] == numbers


def test_rationals_too_long_for_the_kernel_are_refused_in_words_before_coq_is_asked(tmp_path, monkeypatch):
    monkeypatch.setattr("precls_theory.kernel.certificates.build", pytest.fail)
    weight = Fraction(3**8700, 2**13900 - 1)
    C.linear(n_rows=1, weight=[[weight, weight + 1]] * 4).save(tmp_path / "long.safetensors")
    with pytest.raises(NotCovered, match=r"longest has 13\d\d\d, and Coq's time grows with the squares"):
        check_file(tmp_path / "long.safetensors")
    require_short(stream(built("Chebyshev A")), "short")


def test_what_is_hashed_is_what_the_kernel_is_asked_about(tmp_path, monkeypatch):
    """A file that is another one while it is read, and the first again after that."""
    path, other = tmp_path / "gd.safetensors", tmp_path / "read.safetensors"
    built("doubling A").save(path)
    built("read").save(other)
    first, second, asked = path.read_bytes(), other.read_bytes(), []

    def load_in_between(place):
        path.write_bytes(second)
        network = C.load(place)
        path.write_bytes(first)
        return network

    monkeypatch.setattr(certificates, "load", load_in_between)
    monkeypatch.setattr(certificates, "stream", lambda network: asked.append(network.algorithm) or [2**100])
    monkeypatch.setattr(certificates, "MOST_WORK", -1)
    with pytest.raises(NotCovered, match=re.escape(str(path))):
        check_file(path)
    assert asked == ["gradient_descent"]


def test_a_file_that_is_none_is_not_read_to_its_end():
    with pytest.raises(OSError, match="it is no regular file"):
        check_file("/dev/zero")


def test_a_file_that_changes_between_the_check_and_the_kernel_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "gd.safetensors"
    built("doubling A").save(path)
    verdict = certificates.KernelVerdict("proved", hashlib.sha256(b"another").hexdigest(), 0.0, "coq")
    monkeypatch.setattr(check, "ask_if_built", lambda _: verdict)
    result = runner.invoke(app, ["check", str(path), "--kernel", "coq", "--json"])
    assert result.exit_code == 1
    assert "changed while it was checked" in json.loads(result.stdout)["error"]


def test_an_algorithm_without_a_theorem_is_named():
    with pytest.raises(NotCovered, match="published_block"):
        stream(C.published_block(n_points=2, n_dims=1, n_applications=1, step_size=1))


# --- Random changes ---------------------------------------------------------------------------------------------------


def changed_map(sparse, chance):
    """One weight, or one column, of an affine map is another."""
    entries = sparse.entries()
    key = chance.choice(sorted(entries))
    if chance.random() < 0.5:
        entries[key] += chance.choice([-2, -1, 1, Fraction(1, 3)])
        if not entries[key]:
            entries[key] = Fraction(7)
    else:
        free = [c for c in range(sparse.n_in + 1) if (key[0], c) not in entries]
        if not free:
            entries[key] += 1
        else:
            entries[key[0], chance.choice(free)] = entries.pop(key)
    return SparseMap.of(sparse.n_in, sparse.n_out, entries)


def changed_filter(filter, chance):
    taps = [*filter.head, filter.tail]
    place = chance.randrange(len(taps))
    taps[place] += chance.choice([-1, 1, Fraction(1, 2)])
    return Filter(tuple(taps[:-1]), taps[-1])


def changed(network, chance):
    """The network with one change that makes it another network, or another claim."""
    kind = chance.choice(["map", "map", "map", "filter", "position", "name", "metadata", "column", "order"])
    at = chance.randrange(network.depth)
    layer: Layer = network.layers[at]
    if kind == "position" and network.positions:
        (row, column), weight = chance.choice(sorted(network.positions.items()))
        positions = dict(network.positions)
        if chance.random() < 0.5:
            positions[row, column] = weight + 1
        else:
            del positions[row, column]
            positions[(row + 1) % network.n_rows, column] = weight
        return dataclasses.replace(network, positions=positions)
    if kind == "name":
        inputs = list(network.inputs)
        first, second = chance.sample(range(len(inputs)), 2) if len(inputs) > 1 else (0, 0)
        inputs[first], inputs[second] = inputs[second], inputs[first] + ("" if first != second else "'")
        return dataclasses.replace(network, inputs=tuple(inputs))
    if kind == "metadata":
        parameters = dict(network.parameters)
        numbers = [
            k for k, v in parameters.items() if type(v) is int or (type(v) is str and re.fullmatch(r"[\d/]+", v))
        ]
        if network.algorithm == "linear" or chance.random() < 0.2:
            mode = "circular" if network.mode == "causal" else "causal"
            return dataclasses.replace(network, **chance.choice([{"mode": mode}, {"n_rows": network.n_rows + 1}]))
        key = chance.choice(numbers)
        value = parameters[key]
        parameters[key] = value + chance.choice([1, 2]) if type(value) is int else str(Fraction(value) + 1)
        return dataclasses.replace(network, parameters=parameters)
    if kind == "column" and len(network.outputs) > 1:
        columns = list(network.task.columns)
        place = chance.randrange(len(columns))
        columns[place] = chance.choice([c for c in range(len(network.outputs)) if c != columns[place]])
        return dataclasses.replace(network, task=dataclasses.replace(network.task, columns=tuple(columns)))
    if kind == "order" and network.depth > 1:
        drop = chance.randrange(network.depth)
        layers = network.layers[:drop] + network.layers[drop + 1 :]
        return dataclasses.replace(network, layers=layers)
    if kind == "filter":
        place = chance.randrange(len(layer.filters))
        filters = [changed_filter(f, chance) if i == place else f for i, f in enumerate(layer.filters)]
        new = dataclasses.replace(layer, filters=tuple(filters))
    else:
        part = chance.choice([p for p in ("conv", "gate", "out") if getattr(layer, p).n_nonzero])
        new = dataclasses.replace(layer, **{part: changed_map(getattr(layer, part), chance)})
    layers = [new if i == at else other for i, other in enumerate(network.layers)]
    return dataclasses.replace(network, layers=tuple(layers))


def changes(name):
    """The network called ``name`` and ``N_CHANGES`` changed ones, as lists of integers."""
    network, chance = built(name), random.Random(name)
    base = stream(network)
    others: list[list[int]] = []
    while len(others) < N_CHANGES:
        other = stream(changed(network, chance))
        if other != base:
            others.append(other)
    return base, others


HEADER = """From Coq Require Import ZArith.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq.
From Precls Require Import Decode.
Local Open Scope Z_scope.
"""
EDITED = """Fixpoint edited (s : seq Z) (at_ : Z) (es : seq (Z * Z)) : seq Z :=
  if s is z :: s then
    if es is (i, new) :: es' then if Z.eqb i at_ then new :: edited s (Z.succ at_) es' else z :: edited s (Z.succ at_) es
    else z :: s
  else [::].
Definition verdicts (base : seq Z) (changes : seq (seq (Z * Z))) : seq bool :=
  [seq checks (edited base 0 es) | es <- changes].
Definition spliced (base : seq Z) (kept tail : Z) (new : seq Z) : seq Z :=
  take (Z.to_nat kept) base ++ new ++ drop (size base - Z.to_nat tail) base.
"""
"""A list with some numbers replaced, given by ascending position; and one with its middle replaced."""


def n_shared(one, other):
    """How many numbers two lists begin with in common."""
    return next((i for i, (p, q) in enumerate(zip(one, other, strict=False)) if p != q), min(len(one), len(other)))


def changed_verdicts(names, library):
    """The checker on the networks of these names and on their changes, in one run of Coq; changes of the same length are
    told by the numbers that differ, others by their middle."""
    lines, asked = [HEADER, EDITED], {}
    for group, name in enumerate(names):
        base, others = changes(name)
        lines.append(definition(f"base{group}", base))
        lines.append(f'Redirect "base{group}" Eval vm_compute in [:: checks base{group}].\n')
        edits, lists = [], []
        for other in others:
            if len(other) == len(base):
                pairs = [(i, new) for i, (old, new) in enumerate(zip(base, other, strict=True)) if old != new]
                edits.append("[:: " + "; ".join(f"({i}, {new})" for i, new in pairs) + "]")
            else:
                kept = n_shared(base, other)
                tail = n_shared(base[kept:][::-1], other[kept:][::-1])
                new = other[kept : len(other) - tail]
                assert base[:kept] + new + base[len(base) - tail :] == other
                lists.append(f"checks (spliced base{group} {kept} {tail} [:: {'; '.join(map(str, new))}])")
        asked[name] = [f"base{group}"]
        for start in range(0, len(edits), 50):
            part = "; ".join(edits[start : start + 50])
            lines.append(f'Redirect "e{group}_{start}" Eval vm_compute in verdicts base{group} [:: {part}].\n')
            asked[name].append(f"e{group}_{start}")
        for start in range(0, len(lists), 50):
            part = "; ".join(lists[start : start + 50])
            lines.append(f'Redirect "l{group}_{start}" Eval vm_compute in [:: {part}].\n')
            asked[name].append(f"l{group}_{start}")
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        (folder / "changes.v").write_text("".join(lines))
        run_coq(["changes.v"], folder, library)
        return {
            name: [
                word == "true"
                for file in files
                for word in re.findall("true|false", (folder / f"{file}.out").read_text())
            ]
            for name, files in asked.items()
        }


# --- With Coq ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def coq_library():
    return build()


@pytest.fixture(scope="module")
def answers(coq_library):
    with ThreadPoolExecutor(2) as pool:
        parts = pool.map(lambda names: changed_verdicts(names, coq_library), (MUTATED[0::2], MUTATED[1::2]))
        return {name: found for part in parts for name, found in part.items()}


@pytest.mark.coq
class TestWithCoq:
    def test_every_algorithm_layout_and_form_is_proved(self, coq_library):
        answers = verdicts([stream(built(name)) for name in NETWORKS], coq_library)
        assert [name for name, proved in zip(NETWORKS, answers, strict=True) if not proved] == []

    def test_the_depth_proved_for_all_sizes_is_that_of_the_network_and_the_width_a_bound(self, coq_library):
        lines = [HEADER, "From Precls Require Import Certificate Literal NetworkWidths.\n"]
        depths, widths = [], []
        for place, name in enumerate(NETWORKS):
            lines.append(definition(f"net{place}", stream(built(name))))
            depths.append(f"if decode net{place} is Some f then depth_of (file_algorithm f) else 0%nat")
            widths.append(f"if decode net{place} is Some f then width_of (file_algorithm f) else 0%nat")
        for name, numbers in (("depths", depths), ("widths", widths)):
            lines.append(f'Redirect "{name}" Eval vm_compute in [:: {"; ".join(numbers)}].\n')
        with tempfile.TemporaryDirectory() as work:
            folder = Path(work)
            (folder / "depths.v").write_text("".join(lines))
            run_coq(["depths.v"], folder, coq_library)
            printed = [(folder / f"{name}.out").read_text().rsplit(":", 1)[0] for name in ("depths", "widths")]
        proved_depths, proved_widths = (list(map(int, re.findall(r"\d+", text))) for text in printed)
        assert proved_depths == [built(name).depth for name in NETWORKS]
        widest = [max(layer.width for layer in built(name).layers) for name in NETWORKS]
        assert all(width <= bound for width, bound in zip(widest, proved_widths, strict=True))

    @pytest.mark.parametrize("name", MUTATED)
    def test_every_change_is_refused_by_the_kernel(self, name, answers):
        as_it_is, *changed = answers[name]
        assert as_it_is
        assert len(changed) == N_CHANGES
        assert not any(changed), [i for i, proved in enumerate(changed) if proved]

    def test_a_file_is_proved_and_a_changed_one_refused(self, tmp_path, coq_library):
        network = built("doubling A")
        network.save(tmp_path / "gd.safetensors")
        verdict = check_file(tmp_path / "gd.safetensors")
        assert verdict.verdict == "proved"
        result = runner.invoke(app, ["check", str(tmp_path / "gd.safetensors"), "--kernel", "coq", "--json"])
        assert result.exit_code == 0, result.stderr
        said = json.loads(result.stdout)["kernel"]
        assert (said["verdict"], said["sha256"]) == ("proved", verdict.sha256)

        layer = network.layers[0]
        entries = layer.out.entries()
        entries[min(entries)] += 1
        out = SparseMap.of(layer.out.n_in, layer.out.n_out, entries)
        layers = (dataclasses.replace(layer, out=out), *network.layers[1:])
        dataclasses.replace(network, layers=layers).save(tmp_path / "changed.safetensors")
        assert check_file(tmp_path / "changed.safetensors").verdict == "refused"
        result = runner.invoke(app, ["check", str(tmp_path / "changed.safetensors"), "--kernel", "coq", "--json"])
        assert result.exit_code == 1
        assert json.loads(result.stdout)["kernel"]["verdict"] == "refused"

    def test_the_networks_without_a_mask_are_those_of_the_theorems(self, coq_library):
        """No saved file claims these, so that no certificate compares them with the layers of ``Unmasked.v``."""
        N, D = 2, 2
        gradient = C.explicit_gradient(n_points=N, n_dims=D)
        names = {f"aa[{place}]": f"aa[{i},{j}]" for place, (i, j) in enumerate(zip(*np.triu_indices(D), strict=True))}
        names |= {f"g[{i}]": f"x[{i}]" for i in range(D)}
        renamed = [
            dataclasses.replace(layer, outputs=tuple(names.get(name, name) for name in layer.outputs))
            for layer in gradient.layers
        ]
        gradient, step = dataclasses.replace(gradient, layers=tuple(renamed)), f"(per_point (Qmake 1 10) {N})"
        cases = [
            (gradient, f"last_gradient {N} {D} (per_point (Qmake 1 1) {N})", True),
            (gradient, f"last_gradient {N} {D} (per_point (Qmake 1 1) {N + 1})", False),
            (unmasked(N, D, 3, "gram"), f"last_gram {N} {D} {step} 3", True),
            (unmasked(N, D, 3, "gram", skip=False), f"last_gram {N} {D} {step} 3", False),
            (unmasked(N, D, 4, "doubling"), f"last_doubling {N} {D} {step} 2", True),
            (unmasked(N, D, 4, "doubling"), f"last_doubling {N} {D} {step} 3", False),
        ]
        claim = {"n_points": N, "n_dims": D, "n_steps": 1, "step_size": 1, "layout": "S"}
        with tempfile.TemporaryDirectory() as work:
            folder = Path(work)
            lines = [
                "From Coq Require Import QArith.\n",
                HEADER,
                "From Precls Require Import Algorithms Certificate Unmasked.\n",
            ]
            for place, (network, layers, _) in enumerate(cases):
                data = stream(dataclasses.replace(network, algorithm="gradient_descent", parameters=claim))
                lines.append(
                    f'{definition(f"net{place}", data)}Redirect "v{place}" Eval vm_compute in (if decode net{place} is Some f '
                    f"then check_model (unmasked {N} {D} ({layers}))%nat f else false).\n"
                )
            (folder / "unmasked.v").write_text("".join(lines))
            run_coq(["unmasked.v"], folder, coq_library)
            said = [(folder / f"v{place}.out").read_text().split()[1] for place in range(len(cases))]
        assert said == [str(same).lower() for _, _, same in cases]

    def test_the_evaluator_of_coq_and_that_of_python_agree(self, coq_library):
        chance = random.Random(0)
        cases = [random_case(chance, mode) for mode in ("causal", "circular") for _ in range(20)]
        with tempfile.TemporaryDirectory() as work:
            folder = Path(work)
            lines = ["From Coq Require Import QArith.\n", HEADER]
            lines.append(f"From Precls Require Import Network Certificate Evaluator.\n{RUN}")
            for place, (network, u) in enumerate(cases):
                rows = [
                    len(u),
                    *(n for row in u for n in [len(row), *(p for x in row for p in (x.numerator, x.denominator))]),
                ]
                lines += [definition(f"net{place}", stream(network)), definition(f"u{place}", rows)]
                lines.append(f'Redirect "run{place}" Eval vm_compute in (ran net{place} u{place}).\n')
            (folder / "runs.v").write_text("".join(lines))
            run_coq(["runs.v"], folder, coq_library)
            for place, (network, u) in enumerate(cases):
                printed = (folder / f"run{place}.out").read_text().rsplit(":", 1)[0]
                numbers = list(map(int, re.findall(r"-?\d+", printed)))
                expected = network.evaluate(np.array(u, dtype=object))
                assert numbers[0] == 1, "rows or positions outside the channels"
                found = [Fraction(p, q) for p, q in zip(numbers[1::2], numbers[2::2], strict=True)]
                assert found == list(expected.flat), (place, network.mode)


RUN = """Definition table_of : parser (seq (seq Q)) := list_of (list_of fraction).
Definition ran (net u : seq Z) : seq Z :=
  if decode net is Some f then
    if table_of u is Some (t, [::]) then
      (if fits (network_of f) t then 1 else 0) ::
      flatten [seq flatten [seq [:: Qnum x; Zpos (Qden x)] | x <- r] | r <- run (network_of f) t]
    else [::]
  else [::].
"""


def random_case(chance, mode):
    """A network with random rational weights, filters and positions, and an input."""

    def rational():
        return Fraction(chance.randint(-4, 4), chance.randint(1, 3))

    def affine(n_in, n_out):
        entries = {(r, c): rational() for r in range(n_out) for c in range(n_in + 1) if chance.random() < 0.5}
        return SparseMap.of(n_in, n_out, entries)

    n_rows, width = chance.randint(1, 4), chance.randint(1, 3)
    network = C.read(n_rows=n_rows, n_channels=width, source=0, target=0, start=0, stop=width, mode=mode)
    layers, n_in = [], len(network.inputs)
    for _ in range(chance.randint(1, 3)):
        hidden, n_out = chance.randint(1, 4), chance.randint(1, 3)
        filters = tuple(
            Filter.of([rational() for _ in range(chance.randint(0, 5))], chance.choice([0, 1, rational()]))
            for _ in range(2)
        )
        index = np.array([chance.randrange(2) for _ in range(hidden)])
        names = tuple(f"y[{i}]" for i in range(n_out))
        layers.append(Layer(affine(n_in, hidden), affine(n_in, hidden), affine(hidden, n_out), filters, index, names))
        n_in = n_out
    positions = {(chance.randrange(n_rows), chance.randrange(len(network.inputs))): rational() for _ in range(3)}
    positions = {key: value for key, value in positions.items() if value}
    u = [[rational() for _ in network.inputs] for _ in range(n_rows)]
    return dataclasses.replace(network, layers=tuple(layers), positions=positions), u

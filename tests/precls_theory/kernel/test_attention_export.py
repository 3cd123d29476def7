"""Certificates of linear-attention files: each form is proved, every change is refused by the kernel."""

import dataclasses
import random

import pytest
from hypothesis import settings

import constructions as C
from constructions.networks.layer import SparseMap
from precls_theory.kernel.attention_export import attention_stream
from precls_theory.kernel.certificates import ATTENTION, check_file, verdicts
from precls_theory.kernel.export import NotCovered
from precls_theory.kernel.library import build

DEEP = settings.get_current_profile_name() == "deep"
N_CHANGES = 300 if DEEP else 12
SIZES = [(2, 2, 1), (2, 2, 4), (1, 1, 2), (3, 1, 7)] + ([(3, 3, 13), (2, 3, 40)] if DEEP else [])
NETWORKS = {
    **{
        f"{form} N={n} D={d} k={k}": {"n_points": n, "n_dims": d, "n_steps": k, "step_size": "2/7", "form": form}
        for form in ("step", "ternary", "causal")
        for n, d, k in SIZES
    },
    "step, full mask": {"n_points": 2, "n_dims": 2, "n_steps": 2, "mask": "full"},
    "step, strict mask": {"n_points": 2, "n_dims": 2, "n_steps": 2, "mask": "strict"},
    "step, layout E": {"n_points": 2, "n_dims": 2, "layout": "E"},
    "ternary, step size 0": {"n_points": 2, "n_dims": 1, "n_steps": 3, "step_size": 0, "form": "ternary"},
}
CHANGED = ("step N=2 D=2 k=4", "ternary N=2 D=2 k=4", "causal N=2 D=2 k=4", "step, layout E")
KINDS = (
    "map",
    "map",
    "map",
    "map",
    "target",
    "position",
    "name",
    "metadata",
    "read",
    "block",
    "head",
    "mask",
    "rows",
    "inputs",
)


def built(name):
    return C.linear_attention_gradient_descent(**NETWORKS[name])


def changed_map(sparse, chance):
    """One weight, or the column of one, is another."""
    entries = sparse.entries()
    key = chance.choice(sorted(entries))
    free = [c for c in range(sparse.n_in + 1) if (key[0], c) not in entries]
    if chance.random() < 0.5 and free:
        entries[key[0], chance.choice(free)] = entries.pop(key)
    else:
        entries[key] *= chance.choice([-1, 2, 3])
    return SparseMap.of(sparse.n_in, sparse.n_out, entries)


def with_block(network, at, heads):
    blocks = list(network.blocks)
    blocks[at] = dataclasses.replace(blocks[at], heads=tuple(heads))
    return dataclasses.replace(network, blocks=tuple(blocks))


def changed(network, chance):
    """The network with one change of the kind drawn, or ``None`` where it has nothing of that kind."""
    kind = chance.choice(KINDS)
    at = chance.randrange(network.depth)
    heads = list(network.blocks[at].heads)
    place = chance.randrange(len(heads))
    if kind == "map":
        which = chance.choice(["query", "key", "value"])
        heads[place] = heads[place].with_map(which, changed_map(heads[place].maps()[which], chance))
        return with_block(network, at, heads)
    if kind == "target":
        targets = heads[place].targets.copy()
        entry = chance.randrange(len(targets))
        targets[entry] = chance.choice([c for c in range(network.width) if c != targets[entry]])
        heads[place] = dataclasses.replace(heads[place], targets=targets)
        return with_block(network, at, heads)
    if kind == "head":
        return with_block(network, at, heads[:place] + heads[place + 1 :])
    if kind == "block":
        return dataclasses.replace(network, blocks=network.blocks[:at] + network.blocks[at + 1 :])
    if kind == "position":
        cell = (chance.randrange(network.n_rows), chance.randrange(network.width))
        return dataclasses.replace(network, positions=dict(network.positions) | {cell: chance.choice([2, -1])})
    if kind == "name":
        channels = list(network.channels)
        first, second = chance.sample(range(len(channels)), 2)
        channels[first], channels[second] = channels[second], channels[first]
        return dataclasses.replace(network, channels=tuple(channels))
    if kind == "metadata":
        key = chance.choice(["n_points", "n_dims", "n_steps", "step_size"])
        value = {"step_size": "3/11"}.get(key) or network.parameters[key] + chance.choice([1, 2])
        return dataclasses.replace(network, parameters=dict(network.parameters) | {key: value})
    if kind == "read":
        reads = list(network.reads)
        entry = chance.randrange(len(reads))
        reads[entry] = chance.choice([c for c in range(network.width) if c != reads[entry]])
        return dataclasses.replace(network, reads=tuple(reads))
    if kind == "rows":
        return dataclasses.replace(network, n_rows=network.n_rows + 1)
    if kind == "inputs":
        return dataclasses.replace(network, inputs=network.inputs[:-1])
    if network.parameters["form"] == "step" and network.parameters["layout"] == "separate":
        return None  # one step a layer is right under every mask
    return dataclasses.replace(
        network, mask=chance.choice([m for m in ("full", "causal", "strict") if m != network.mask])
    )


def changes(name):
    """``N_CHANGES`` changed networks."""
    network, chance = built(name), random.Random(name)
    found = []
    while len(found) < N_CHANGES:
        other = changed(network, chance)
        if other is not None and attention_stream(other) != attention_stream(network):
            found.append(other)
    return found


def test_the_data_are_integers_alone_and_unlike_for_unlike_networks():
    streams = [attention_stream(built(name)) for name in NETWORKS]
    assert all(type(number) is int for numbers in streams for number in numbers)
    assert len({tuple(numbers) for numbers in streams}) == len(NETWORKS)


def test_no_text_of_a_file_reaches_the_data():
    network = built("causal N=2 D=2 k=4")
    evil = dataclasses.replace(network, channels=("x. Axiom a : False.", *network.channels[1:]))
    base, other = attention_stream(network), attention_stream(evil)
    assert [new for new, old in zip(other, base, strict=True) if new != old] == [0], "an unknown name is [0, 0, 0]"


def test_a_transformer_without_a_theorem_is_named():
    multiply = C.linear_attention_multiply(n_rows=2, n_channels=2, left=0, right=1, target=0)
    with pytest.raises(NotCovered, match="linear_attention_multiply"):
        attention_stream(multiply)


@pytest.mark.coq
class TestWithCoq:
    def test_every_form_is_proved_and_every_change_refused_by_the_kernel(self):
        named = [(name, attention_stream(built(name))) for name in NETWORKS]
        wrong = [
            (f"{name}, change {i}", attention_stream(other))
            for name in CHANGED
            for i, other in enumerate(changes(name))
        ]
        answers = verdicts([numbers for _, numbers in named + wrong], build(), ATTENTION)
        assert [name for (name, _), proved in zip(named, answers, strict=False) if not proved] == []
        assert [name for (name, _), proved in zip(wrong, answers[len(named) :], strict=True) if proved] == []

    def test_a_file_is_proved_and_a_changed_one_refused(self, tmp_path):
        network = built("causal N=2 D=2 k=4")
        network.save(tmp_path / "right.safetensors")
        head, *others = network.blocks[-1].heads
        wrong = head.with_map("value", changed_map(head.value, random.Random(0)))
        with_block(network, network.depth - 1, [wrong, *others]).save(tmp_path / "wrong.safetensors")
        right = check_file(tmp_path / "right.safetensors")
        assert (right.verdict, right.theorem) == ("proved", "AttentionCertificate.attention_certificate")
        assert check_file(tmp_path / "wrong.safetensors").verdict == "refused"

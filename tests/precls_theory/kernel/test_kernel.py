"""The Coq library: what its sources may contain, how it is found and built, and what counts as proved."""

import json
import shutil
from pathlib import Path

import pytest
from helpers.networks import SMALL, with_weight
from typer.testing import CliRunner

import constructions as C
from precls_theory import all_theorems
from precls_theory.cli.main import app
from precls_theory.kernel import library, sources, statements, theorems
from precls_theory.kernel.library import KernelError, KernelMissing

runner = CliRunner()


@pytest.fixture
def no_coq(monkeypatch):
    library.find_coq.cache_clear()
    monkeypatch.setattr(shutil, "which", lambda _: None)
    yield
    library.find_coq.cache_clear()


def test_every_file_of_the_library_is_listed_and_allowed():
    assert {path.stem for path in library.SOURCES.glob("*.v")} == set(library.FILES)
    for name in library.FILES:
        sources.require_allowed((library.SOURCES / f"{name}.v").read_text())


def test_only_registered_theorems_are_claimed_and_the_others_say_why_not():
    known = set(all_theorems())
    assert set(theorems.EVERY_SIZE) <= known
    assert not set(theorems.EVERY_SIZE) & set(theorems.WHY_NOT)
    for identifier in known:
        assert (theorems.why_not(identifier) is None) == (identifier in theorems.EVERY_SIZE)
        assert theorems.why_not(identifier) != theorems.NO_REASON, identifier


def test_each_claimed_theorem_is_stated_in_the_source_that_it_names():
    for name in [name for names in theorems.EVERY_SIZE.values() for name in names] + list(theorems.CERTIFICATES):
        module, theorem = name.split(".")
        source = sources.without_comments((library.SOURCES / f"{module}.v").read_text())
        assert f"Theorem {theorem} " in source, name


@pytest.mark.parametrize("command", [["verify", "newton-identities", "--kernel", "coq"]])
def test_without_coq_one_sentence_and_exit_code_2(no_coq, command):
    result = runner.invoke(app, command)
    assert result.exit_code == 2
    assert library.INSTALL in " ".join(result.stderr.split())


def test_a_file_is_not_checked_by_a_kernel_that_is_not_there(no_coq, tmp_path):
    C.gradient_descent(n_points=2, n_dims=1, n_steps=1, step_size=1).save(tmp_path / "gd.safetensors")
    result = runner.invoke(app, ["check", str(tmp_path / "gd.safetensors"), "--kernel", "coq"])
    assert result.exit_code == 2
    assert library.INSTALL in " ".join(result.stderr.split())


def test_a_file_that_is_refused_is_refused_where_there_is_no_kernel(no_coq, tmp_path):
    path = tmp_path / "bad.safetensors"
    with_weight(SMALL["gd-gram-A"](), 1, "out", 0).save(path)
    result = runner.invoke(app, ["check", str(path), "--kernel", "coq", "--json"])
    assert result.exit_code == 1
    error = json.loads(result.stdout)["error"]
    assert "is refused: output" in error
    assert library.INSTALL in error


@pytest.mark.parametrize("version", ["Closed under the global context", "../../8.16.1", ""])
def test_a_program_that_does_not_tell_a_version_is_not_coq(monkeypatch, tmp_path, version):
    coqc = tmp_path / "coqc"
    coqc.write_text(f"#!/bin/sh\necho '{version}'\n")
    coqc.chmod(0o755)
    library.find_coq.cache_clear()
    monkeypatch.setattr(shutil, "which", lambda _: str(coqc))
    with pytest.raises(KernelMissing, match="does not tell its version"):
        library.find_coq()
    library.find_coq.cache_clear()


def test_a_program_that_accepts_everything_and_writes_nothing_leaves_no_build(monkeypatch, tmp_path):
    coqc = tmp_path / "coqc"
    coqc.write_text('#!/bin/sh\n[ "$1" = --print-version ] && echo 8.16.1 || echo Closed under the global context\n')
    coqc.chmod(0o755)
    library.find_coq.cache_clear()
    monkeypatch.setattr(shutil, "which", lambda _: str(coqc))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(KernelError, match="wrote no"):
        library.build()
    library.find_coq.cache_clear()
    assert list(library.cache_folder().iterdir()) == []


def test_nothing_else_needs_coq(no_coq):
    assert runner.invoke(app, ["verify", "primitive-linear", "--n-points", "2", "--n-dims", "1"]).exit_code == 0


def test_every_claimed_statement_is_recorded():
    assert set(statements.recorded()) == set(statements.claimed())


def test_names_that_are_no_names_never_reach_coq(tmp_path):
    for name in ("Descent.newton. Axiom a : False", "Nowhere.theorem", "Descent"):
        with pytest.raises(KernelError, match="does not name a theorem"):
            library.assumptions([name], tmp_path)


def test_what_the_most_waits_for_comes_first():
    required = {"base": set(), "last": {"middle", "side"}, "middle": {"base"}, "side": {"base"}, "alone": set()}
    costs = {"base": 1, "middle": 5, "side": 2, "last": 3, "alone": 4}
    assert library.waiting_for(required, costs) == {"base": 9, "middle": 8, "side": 5, "last": 3, "alone": 4}


def test_where_nothing_is_claimed_coq_is_not_asked(monkeypatch, tmp_path):
    monkeypatch.setattr(library, "run_coq", pytest.fail)
    library.require_closed([], tmp_path)


@pytest.mark.coq
class TestWithCoq:
    @pytest.fixture
    def tiny(self, monkeypatch, tmp_path):
        """A library of one file, given as a source."""
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr(library, "FILES", ("Tiny",))
        monkeypatch.setattr(statements, "FILES", ("Tiny",))

        def build(source: str) -> Path:
            (tmp_path / "Tiny.v").write_text(source)
            return library.build(tmp_path)

        return build

    @pytest.mark.parametrize(
        ("variable", "below"), [("COQPATH", ""), ("XDG_DATA_HOME", "coq"), ("XDG_DATA_DIRS", "coq")]
    )
    def test_no_library_of_the_environment_stands_in_for_mathcomp(self, monkeypatch, tmp_path, variable, below):
        """A ``mathcomp.seq`` whose lists are others made the kernel prove another file's network."""
        place = tmp_path / "elsewhere" / below / "mathcomp"
        place.mkdir(parents=True)
        (place / "seq.v").write_text("Definition another := true.")
        library.run_coq(["-R", ".", "mathcomp", "seq.v"], place, place)
        monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
        asked = tmp_path / "asked"
        asked.mkdir()
        (asked / "ask.v").write_text("From mathcomp Require seq. Check mathcomp.seq.another.")
        with pytest.raises(KernelError, match="another"):
            library.run_coq(["ask.v"], asked, asked)

    def test_a_theorem_of_logic_alone_is_closed_and_coq_is_asked_once_for_a_build(self, tiny, monkeypatch):
        built = tiny("Theorem t : 1 + 1 = 2. Proof. reflexivity. Qed. Lemma u : True. Proof. exact I. Qed.")
        library.require_closed_once(["Tiny.t"], built)
        monkeypatch.setattr(library, "require_closed", pytest.fail)
        library.require_closed_once(["Tiny.t"], built)
        asked = []
        monkeypatch.setattr(library, "require_closed", lambda names, _: asked.extend(names))
        library.require_closed_once(["Tiny.u"], built)
        (built / "Tiny.vo").write_bytes((built / "Tiny.vo").read_bytes() + b"0")
        library.require_closed_once(["Tiny.u"], built)
        assert asked == ["Tiny.u"] * 2

    @pytest.mark.parametrize("change", ["another", "cut", "gone", "unfinished"])
    def test_a_damaged_build_is_made_again(self, tiny, tmp_path, change):
        source = "Theorem t : 1 + 1 = 2. Proof. reflexivity. Qed."
        built = tiny(source)
        compiled = built / "Tiny.vo"
        if change == "another":
            (tmp_path / "other").mkdir()
            (tmp_path / "other" / "Tiny.v").write_text("Axiom cheat : False. Theorem t : 1 = 2. destruct cheat. Qed.")
            library.run_coq(["Tiny.v"], tmp_path / "other", tmp_path / "other")
            shutil.copy(tmp_path / "other" / "Tiny.vo", compiled)
        elif change == "cut":
            compiled.write_bytes(compiled.read_bytes()[:100])
        else:
            (compiled if change == "gone" else built / library.COMPLETE).unlink()
        assert not library.is_intact(built)
        assert tiny(source) == built
        assert library.is_intact(built)
        library.require_closed(["Tiny.t"], built)

    @pytest.mark.parametrize(
        "source",
        [
            "Variable cheat : False. Theorem t : 1 = 2. Proof. destruct cheat. Qed.",
            "Hypothesis cheat : 1 = 2. Theorem t : 1 = 2. Proof. exact cheat. Qed.",
            "Unset Guard Checking. Fixpoint f (n : nat) : False := f n. Theorem t : 1 = 2. Proof. destruct (f 0). Qed.",
            "#[bypass_check(positivity)] Inductive I := C (_ : I -> False). Theorem t : I -> 1 = 1. Proof. reflexivity. Qed.",
            "From Coq Require Import FunctionalExtensionality. Theorem t : (fun x : nat => x + 0) = (fun x => x). "
            "Proof. apply functional_extensionality; intro x; symmetry; apply plus_n_O. Qed.",
        ],
    )
    def test_what_rests_on_something_else_is_refused(self, tiny, source, monkeypatch):
        monkeypatch.setattr(library, "require_allowed", lambda _: None)  # the sources say so too; here Coq has to
        built = tiny(source)
        with pytest.raises(KernelError, match="rests on something unproved"):
            library.require_closed(["Tiny.t"], built)

    def test_an_axiom_is_refused_by_its_word(self, tiny):
        with pytest.raises(KernelError, match="is not a source of the library"):
            tiny("Axiom cheat : False. Theorem t : 1 = 2. Proof. destruct cheat. Qed.")

    def test_a_wrong_lemma_makes_verify_fail(self, monkeypatch, tmp_path):
        copy = tmp_path / "coq"
        shutil.copytree(library.SOURCES, copy)
        scalars = (copy / "Scalars.v").read_text()
        assert "Lemma weight0 : phi q0 = 0." in scalars
        (copy / "Scalars.v").write_text(scalars.replace("Lemma weight0 : phi q0 = 0.", "Lemma weight0 : phi q0 = 1."))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr(library, "SOURCES", copy)
        result = runner.invoke(app, ["verify", "newton-identities", "--kernel", "coq"])
        assert result.exit_code == 1
        assert "Coq refuses Scalars.v" in result.stderr

    TWICE = "Definition twice (n : nat) := n + n. Theorem t n : twice n = n + n. Proof. reflexivity. Qed."

    @pytest.mark.parametrize(
        ("source", "same"),
        [
            ("Lemma l : True. Proof. exact I. Qed. " + TWICE.replace("reflexivity", "unfold twice; reflexivity"), True),
            (TWICE.replace("Theorem t n : twice n = n + n", "Theorem t n : n + n = n + n"), False),
            (TWICE.replace(":= n + n.", ":= n * 2.").replace("reflexivity", "exact (twice_is n)").replace(
                "Theorem", "Lemma twice_is n : twice n = n + n. Proof. unfold twice. induction n as [|n IH]. reflexivity. "
                "simpl. rewrite IH. rewrite <- plus_n_Sm. reflexivity. Qed. Theorem"), False),
            ("Notation \"x + y\" := (id x) : nat_scope. " + TWICE, False),
        ],
    )  # fmt: skip
    def test_another_statement_or_definition_has_another_fingerprint(self, tiny, source, same):
        original = statements.fingerprints(["Tiny.t"], tiny(self.TWICE))
        assert (statements.fingerprints(["Tiny.t"], tiny(source)) == original) is same

    def test_a_theorem_of_the_same_name_that_states_less_is_refused(self, tiny, monkeypatch):
        monkeypatch.setattr(statements, "claimed", lambda: ["Tiny.t"])
        found = statements.fingerprints(["Tiny.t"], tiny(self.TWICE))
        monkeypatch.setattr(statements, "recorded", lambda: found)
        statements.require_recorded(["Tiny.t"], tiny(self.TWICE))
        weaker = tiny(self.TWICE.replace("twice n = n + n.", "twice n = twice n."))
        library.require_closed(["Tiny.t"], weaker)
        with pytest.raises(KernelError, match="does not state what it did"):
            statements.require_recorded(["Tiny.t"], weaker)

    def test_every_claimed_theorem_is_closed_as_recorded_and_verify_says_so(self):
        built = library.build()
        library.require_closed([*statements.claimed(), "Evaluator.run_correct"], built)
        statements.require_recorded(statements.claimed(), built)
        sizes = ["--n-points", "2", "--n-dims", "1"]
        result = runner.invoke(
            app, ["verify", "newton-identities", "published-block-not-gd", *sizes, "--kernel", "coq", "--json"]
        )
        assert result.exit_code == 0, result.stderr
        newton, block = json.loads(result.stdout)["theorems"]
        assert newton["every_size"] is True
        assert newton["kernel"] == library.find_coq().name
        assert newton["coq"] == "Descent.newton_power"
        assert newton["coqchk"] == ("accepted" if library.is_rechecked(built) else None)
        assert block["every_size"] is False
        assert block["kernel"] is block["coq"] is None
        assert "refuted at one size" in block["why_not_every_size"]

    def test_a_library_without_mathcomp_is_missing_not_wrong(self, monkeypatch, tiny):
        with pytest.raises((KernelMissing, KernelError), match=r"mathcomp|MathComp|not found|Cannot find"):
            tiny("From mathcomp Require Import no_such_library.")

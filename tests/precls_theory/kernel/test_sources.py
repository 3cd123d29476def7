"""What sources of the Coq library may contain, however it is hidden."""

import pytest

from precls_theory.kernel import sources


@pytest.mark.parametrize(
    "source",
    [
        "Axiom a : False.",
        "Local Axiom a : False.",
        "Lemma l : False. Admitted.",
        "Lemma l : False. Proof. - admit. Qed.",
        "Parameters a b : nat.",
        "Module Type T. Axiom a : False. End T.",
        "Module Type T.\nEnd T.",
        "Hypothesis cheat : False.",
        "Section S. End S. Variable cheat : False.",
        "Context (cheat : False).",
        "Section S. Context (cheat : False). End S.",
        "Unset Guard Checking.",
        "Unset  Positivity\nChecking.",
        "Set Universe Polymorphism.",
        "Set Type In Type.",
        "#[bypass_check(guard)] Fixpoint f (n : nat) : False := f n.",
        "#[global] Instance i : T.",
        'Declare ML Module "evil".',
        'Load "evil.v".',
        "Primitive int := #int63_type.",
        "Extraction f.",
        'Redirect "0" Check t.',
        "Time Admitted.",
        'Definition s := "(*". Axiom cheat : False. Definition t := "*)".',
        '(* " *) " *) Axiom cheat : False. (* *)',
        "(* (* *) *) Axiom cheat : False.",
        'Definition s := """(*""". Axiom cheat : False.',
        "\u00b2Axiom cheat : False.",
        "(* never closed",
        'Definition s := "never closed.',
        "Section S.",
        "End S.",
        "Scheme Equality for nat.",
    ],
)
def test_what_could_leave_something_unproved_is_found_and_cannot_be_hidden(source):
    with pytest.raises(sources.SourceError):
        sources.require_allowed(source)


@pytest.mark.parametrize(
    "source",
    [
        '(* Axiom (* Admitted *) " *) Load " *) Theorem t : 1 = 1. Proof. reflexivity. Qed.',
        "Section S. Variable n : nat. Let m := n. End S.",
        'Notation "A + B" := (f A B). Definition axiom_of := 0.',
    ],
)
def test_comments_strings_and_sections_are_read_as_coq_reads_them(source):
    sources.require_allowed(source)


def test_comments_nest():
    assert sources.without_comments("a (* b (* c *) d *) e").split() == ["a", "e"]

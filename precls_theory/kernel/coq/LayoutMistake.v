(* Layout S taken for layout A, without a mask: the row of x_init counts as data. Wrong, silently, for every N and D. *)
From mathcomp Require Import all_ssreflect all_algebra.
From Precls Require Import Descent Layouts.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Section Mistake.
Variables (R : comRingType) (N D : nat) (a : nat -> 'cV[R]_D) (x_init : 'cV[R]_D).
Notation rows := (row_a LayoutS N a x_init).
(* The sum of the outer products is G + x x^T, and that of the rows is x + sum a. *)
Theorem unmasked_gram : gram rows N.+1 = gram a N + x_init *m x_init^T.
Proof.
rewrite /gram big_ord_recl addrC /row_a /=; congr (_ + _).
by apply: eq_bigr => n _; rewrite ltn_ord.
Qed.
Theorem unmasked_sum : \sum_(n < N.+1) rows n = x_init + \sum_(n < N) a n.
Proof. by rewrite big_ord_recl /row_a /=; congr (_ + _); apply: eq_bigr => n _; rewrite ltn_ord. Qed.
End Mistake.

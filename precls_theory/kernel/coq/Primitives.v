(* Read, Linear and Multiply, each in one layer (Liu et al. 2025, section 3.3 and App. D.2), for every number of rows and
   channels. Channels u[0], u[1], ... in, y[0], y[1], ... out. *)
From Coq Require Import QArith.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat div seq choice fintype bigop ssralg zmodp matrix.
From Precls Require Import Scalars Network NormalForm.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Close Scope Q_scope.
Local Open Scope ring_scope.

Notation minus1 := (Qopp q1).
Definition position := ch Fat_target 0.
(* u' = u (1 - e) + (shift * u) e, with e the indicator of the target row. *)
Definition read_layer (lag start stop : nat) : spec := fun c =>
  match c with
  | (Fy, i, _) =>
      if (start <= i < stop)%N then
        linear q1 (ch Fu i) ++ product minus1 delta (ch Fu i) position ++ product q1 (shift lag) (ch Fu i) position
      else linear q1 (ch Fu i)
  | _ => [::]
  end.
Definition linear_layer (n_in : nat) (W : nat -> nat -> Q) (c : nat -> Q) : spec := fun ch_ =>
  match ch_ with
  | (Fy, j, _) => sum n_in (fun i => linear (W i j) (ch Fu i)) ++ constant (c j)
  | _ => [::]
  end.
Definition multiply_layer (left right target length : nat) : spec := fun c =>
  match c with
  | (Fy, i, _) =>
      if (target <= i < target + length)%N then
        product q1 delta (ch Fu (left + (i - target))) (ch Fu (right + (i - target)))
      else linear q1 (ch Fu i)
  | _ => [::]
  end.

(* The lag at which the target row sees the source row. *)
Definition read_lag (N source target : nat) : nat := ((target + (N - source)) %% N)%N.

Section Correct.
Variables (R : comRingType) (phi : scalars R) (md : mode) (N : nat).
Variable v : named R.
Notation out S := (eval_spec phi md N S v).

(* Read(source -> target; start:stop): a causal network reads an earlier row, a circular one any row. *)
Theorem read_correct source target start stop n i : (source < N)%N -> (target < N)%N ->
  md = Circular \/ (source <= target)%N -> (n < N)%N -> v n position = (n == target)%:R ->
  out (read_layer (read_lag N source target) start stop) n (ch Fy i) =
  if (n == target) && (start <= i < stop)%N then v source (ch Fu i) else v n (ch Fu i).
Proof.
move=> sN tN ok nN Hp.
rewrite -[LHS]/(eval_terms phi md N v n (if (start <= i < stop)%N then linear q1 (ch Fu i) ++ _ ++ _ else _)).
case: (start <= i < stop)%N; last first.
  by rewrite andbF eval_linear // weight1 mul1r.
rewrite andbT !eval_cat eval_linear // eval_delta_product // eval_product weightN weight1 mulN1r !mul1r Hp.
case: eqP => [->|_]; last by rewrite !mulr0 oppr0 !addr0.
rewrite !mulr1 addrA subrr add0r; apply: shiftE => //; rewrite /read_lag.
case: md ok => [[] // st|_] //=; rewrite st; congr Some.
by rewrite addnBA ?(ltnW sN) // addnC -addnBA // modnDl modn_small // (leq_ltn_trans (leq_subr _ _)).
Qed.
(* Linear(W, c): u W + c at every row. *)
Theorem linear_correct n_in W c n j : (n < N)%N ->
  out (linear_layer n_in W c) n (ch Fy j) = \sum_(i < n_in) v n (ch Fu i) * phi (W i j) + phi (c j).
Proof.
move=> nN; rewrite [LHS]eval_cat eval_constant // eval_sum; congr (_ + _).
by apply: eq_bigr => i _; rewrite eval_linear // mulrC.
Qed.
(* Multiply(left, right, target; length): the product of two blocks of channels, into a third. *)
Theorem multiply_correct left right target length n i : (n < N)%N ->
  out (multiply_layer left right target length) n (ch Fy i) =
  if (target <= i < target + length)%N
  then v n (ch Fu (left + (i - target))) * v n (ch Fu (right + (i - target))) else v n (ch Fu i).
Proof.
move=> nN; rewrite -[LHS]/(eval_terms phi md N v n (if _ then _ else _)); case: ifP => _; last by rewrite eval_linear // weight1 mul1r.
by rewrite eval_delta_product // weight1 mul1r.
Qed.
End Correct.

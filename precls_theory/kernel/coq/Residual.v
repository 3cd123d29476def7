(* Gradient descent in residual form: circular, width Theta(D), two layers a step. The sum that ends one step and the
   residual that begins the next share a layer. *)
From Coq Require Import QArith.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg zmodp matrix.
From Precls Require Import Scalars Network NormalForm Descent Families.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Close Scope Q_scope.
Local Open Scope ring_scope.

Section Layers.
Variables (D : nat) (s : Q).
Notation dot k F f g := (sum D (fun i => product k F (ch f i) (ch g i))).
Definition residual_first : spec := fun c =>
  match c with
  | (Fa, i, _) => linear q1 (ch Fa i)
  | (Fb, _, _) => linear q1 (ch Fb 0)
  | (Fx, i, _) => convolved q1 prefix (ch Fx i)
  | (Fr, _, _) => dot q1 prefix Fx Fa ++ linear (Qopp q1) (ch Fb 0)
  | _ => [::]
  end.
Definition residual_outer : spec := fun c =>
  match c with
  | (Fa, i, _) => linear q1 (ch Fa i)
  | (Fb, _, _) => linear q1 (ch Fb 0)
  | (Fx, i, _) => linear q1 (ch Fx i)
  | (Fra, i, _) => product q1 delta (ch Fr 0) (ch Fa i)
  | _ => [::]
  end.
Definition residual_step : spec := fun c =>
  match c with
  | (Fa, i, _) => linear q1 (ch Fa i)
  | (Fb, _, _) => linear q1 (ch Fb 0)
  | (Fx, i, _) => linear q1 (ch Fx i) ++ convolved (Qopp s) prefix (ch Fra i)
  | (Fr, _, _) => dot q1 delta Fx Fa ++ dot (Qopp s) prefix Fra Fa ++ linear (Qopp q1) (ch Fb 0)
  | _ => [::]
  end.
Fixpoint residual_steps k : seq spec := if k is k.+1 then residual_outer :: residual_step :: residual_steps k else [::].
Definition residual_layers k := residual_first :: residual_steps k.

Variables (R : comRingType) (phi : scalars R) (N : nat) (a : nat -> 'cV[R]_D) (b : nat -> R).
Notation eval_spec := (eval_spec phi Circular N).
Notation vec v n f := (vec D v n f).
Implicit Types v : named R.
Definition residual_holds (x : 'cV[R]_D) v := forall n, (n < N)%N ->
  [/\ vec v n Fa = a n, v n (ch Fb 0) = b n, vec v n Fx = x & v n (ch Fr 0) = ((a n)^T *m x) 0 0 - b n].

(* x_init is the sum of the channels of x over all rows. *)
Lemma residual_first_correct v x :
  (forall n, (n < N)%N -> vec v n Fa = a n /\ v n (ch Fb 0) = b n) -> \sum_(m < N) vec v m Fx = x ->
  residual_holds x (eval_spec residual_first v).
Proof.
move=> H Hx n nN; have [Ha Hb] := H n nN.
have total i : convolve phi Circular N prefix (fun m => v m (ch Fx (nat_of_ord i))) n = x i 0.
  by rewrite totalE -Hx summxE; apply: eq_bigr => m _; rewrite vecE.
split.
- by apply: vectorP => i; rewrite vecE [LHS]eval_linear // weight1 mul1r -vecE Ha.
- by rewrite [LHS]eval_linear // weight1 mul1r Hb.
- by apply: vectorP => i; rewrite vecE [LHS]eval_convolved weight1 mul1r total.
- rewrite [LHS]eval_cat eval_linear // weightN weight1 mulN1r Hb; congr (_ - _).
  rewrite eval_sum mulmE; apply: eq_bigr => i _.
  by rewrite eval_product weight1 mul1r total mulrC -Ha !mxE.
Qed.
Lemma residual_step_correct x v : residual_holds x v ->
  residual_holds (gd a b (phi s) N x) (eval_specs phi Circular N [:: residual_outer; residual_step] v).
Proof.
move=> H n nN; rewrite /=; set w := eval_spec residual_outer v.
have keep m : (m < N)%N -> [/\ vec w m Fa = a m, w m (ch Fb 0) = b m & vec w m Fx = x].
  move=> mN; have [Ha Hb Hx _] := H m mN; split.
  + by apply: vectorP => i; rewrite vecE [LHS]eval_linear // weight1 mul1r -vecE Ha.
  + by rewrite [LHS]eval_linear // weight1 mul1r Hb.
  + by apply: vectorP => i; rewrite vecE [LHS]eval_linear // weight1 mul1r -vecE Hx.
have [Ha Hb Hx] := keep n nN.
have total (i : 'I_D) : convolve phi Circular N prefix (fun m => w m (ch Fra i)) n = gradient a b N x i 0.
  rewrite totalE /gradient -[_ - moment a b N]opprB -residual_sum -sumrN summxE; apply: eq_bigr => m _.
  have [Ham _ _ Hr] := H m (ltn_ord m).
  by rewrite [LHS]eval_delta_product // weight1 mul1r Hr -vecE Ham !entryE -mulNr opprB.
have step (i : 'I_D) : gd a b (phi s) N x i 0 = x i 0 - phi s * gradient a b N x i 0 by rewrite /gd !entryE.
split.
- by apply: vectorP => i; rewrite vecE [LHS]eval_linear // weight1 mul1r -vecE Ha.
- by rewrite [LHS]eval_linear // weight1 mul1r Hb.
- apply: vectorP => i; rewrite vecE [LHS]eval_cat eval_linear // weight1 mul1r -vecE Hx eval_convolved total.
  by rewrite weightN mulNr step.
- rewrite [LHS]eval_cat eval_cat eval_linear // weightN weight1 mulN1r Hb addrA; congr (_ - _).
  rewrite !eval_sum mulmE -big_split; apply: eq_bigr => i _ /=.
  rewrite eval_delta_product // eval_product weight1 mul1r total step -!vecE Hx Ha weightN [(a n)^T _ _]mxE.
  by rewrite mulNr mulrBr [a n i 0 * _]mulrC mulrA [a n i 0 * _]mulrC.
Qed.
Theorem residual_correct k v x n :
  (forall n, (n < N)%N -> vec v n Fa = a n /\ v n (ch Fb 0) = b n) -> \sum_(m < N) vec v m Fx = x -> (n < N)%N ->
  vec (eval_specs phi Circular N (residual_layers k) v) n Fx = iter k (gd a b (phi s) N) x.
Proof.
move=> H Hx nN; rewrite [LHS]/(vec (eval_specs _ _ _ (residual_steps k) _) n Fx).
have := residual_first_correct H Hx; move: (eval_spec residual_first v) => w.
elim: k x w {Hx} => [|k IH] x w Hw; first by case: (Hw n nN).
by rewrite iterSr -(IH _ _ (residual_step_correct Hw)).
Qed.
End Layers.

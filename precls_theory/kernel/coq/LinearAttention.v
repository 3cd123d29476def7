(* Linear attention: one layer is one step of gradient descent, for every number of points and columns; L layers have degree
   at most 3^L, so k steps need at least log3(2k + 1) of them, whatever the mask, width, heads and positions. *)
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg poly ssrnum zmodp matrix.
From Precls Require Import Descent LowerBound.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* ---- one step ---- *)
Section Step.
Variables (R : comRingType) (N D : nat) (a : nat -> 'cV[R]_D) (b : nat -> R) (s : R) (visible : nat -> bool).
(* Query (x, -1) in the last row, keys (a_m, b_m), values -s a_m, and the residual connection. *)
Definition attention_step (x : 'cV[R]_D) : 'cV[R]_D :=
  x + \sum_(m < N.+1 | visible m) (((a m)^T *m x) 0 0 + - 1 * b m) *: (- s *: a m).
Lemma attention_stepE x : attention_step x = x - s *: \sum_(m < N.+1 | visible m) (((a m)^T *m x) 0 0 - b m) *: a m.
Proof.
rewrite /attention_step scaler_sumr -sumrN; congr (_ + _); apply: eq_bigr => m _.
by rewrite mulN1r scalerA mulrN scaleNr scalerA [s * _]mulrC.
Qed.
Lemma gradient_sum x : \sum_(m < N) (((a m)^T *m x) 0 0 - b m) *: a m = gradient a b N x.
Proof.
rewrite /gradient -[RHS]opprB -(residual_sum a b N x) -sumrN; apply: eq_bigr => m _.
by rewrite -scaleNr opprB.
Qed.
(* The query row has channels of its own (its key is zero), or does not see itself. *)
Theorem step_correct x : (forall m, (m < N)%N -> visible m) -> (visible N -> a N = 0) -> attention_step x = gd a b s N x.
Proof.
move=> see own; rewrite attention_stepE big_mkcond big_ord_recr /= /gd -gradient_sum; congr (_ - _ *: _).
case: ifP => [/own ->|_]; rewrite ?scaler0 addr0; by apply: eq_bigr => m _; rewrite see.
Qed.
(* With x in the channels of a and a row that sees itself, x |x|^2 comes in. *)
Theorem step_that_sees_itself x : (forall m, (m <= N)%N -> visible m) -> a N = x -> b N = 0 ->
  attention_step x = gd a b s N x - s *: ((x^T *m x) 0 0 *: x).
Proof.
move=> see aN bN; rewrite attention_stepE big_mkcond big_ord_recr /= see // aN bN subr0 scalerDr opprD addrA.
congr (_ - _); rewrite /gd -gradient_sum; congr (_ - _ *: _).
by apply: eq_bigr => m _; rewrite see // ltnW.
Qed.
End Step.

(* ---- the degree ---- *)
Section Degree.
Variables (F : numFieldType) (N : nat).
(* A head: affine queries, keys and values, with constants by row; [attends] is the mask, with any weights. *)
Record linear_head := LinearHead {
  channels_in : nat; inner : nat;
  attends : 'I_N -> 'I_N -> F;
  query : nat -> nat -> F; query_bias : nat -> 'I_N -> F;
  key : nat -> nat -> F; key_bias : nat -> 'I_N -> F;
  values : nat -> nat -> F; value_bias : nat -> 'I_N -> F
}.
Section Meaning.
Variables (R : comRingType) (phi : F -> R).
Notation state := ('I_N -> nat -> R).
Definition projected (h : linear_head) w (c : nat -> 'I_N -> F) (u : state) j n : R :=
  affine phi (channels_in h) (w j) (u n) + phi (c j n).
Definition run_linear_head (h : linear_head) (u : state) n o : R := \sum_(m < N) phi (attends h n m) *
  ((\sum_(j < inner h) projected h (query h) (query_bias h) u j n * projected h (key h) (key_bias h) u j m) *
   projected h (values h) (value_bias h) u o m).
Definition linear_layer (u : state) (heads : seq linear_head) : state := fun n o =>
  u n o + \sum_(h <- heads) run_linear_head h u n o.
Definition linear_run (net : seq (seq linear_head)) u := foldl linear_layer u net.
End Meaning.

Section Morphism.
Variables (R S : comRingType) (psi : {rmorphism R -> S}) (phi : F -> R) (phi' : F -> S).
Hypothesis phiE : forall w, psi (phi w) = phi' w.
Lemma linear_morph net (u : 'I_N -> nat -> R) (u' : 'I_N -> nat -> S) : (forall n c, psi (u n c) = u' n c) ->
  forall n o, psi (linear_run phi net u n o) = linear_run phi' net u' n o.
Proof.
elim: net u u' => [|heads net IH] u u' E n o; first exact: E.
have P h w c j m : psi (projected phi h w c u j m) = projected phi' h w c u' j m.
  by rewrite rmorphD /= phiE (affine_morph phiE _ _ (E m)).
apply: IH => {}n {}o; rewrite /linear_layer rmorphD /= E rmorph_sum; congr (_ + _); apply: eq_bigr => h _.
rewrite rmorph_sum; apply: eq_bigr => m _; rewrite !rmorphM /= phiE P rmorph_sum; congr (_ * (_ * _)).
by apply: eq_bigr => j _; rewrite rmorphM /= !P.
Qed.
End Morphism.

Notation poly_linear_run := (linear_run (@polyC F)).
Lemma size_projected h w c (u : 'I_N -> nat -> {poly F}) M j n : (forall c, size (u n c) <= M.+1)%N ->
  (size (projected (@polyC F) h w c u j n : {poly F}) <= M.+1)%N.
Proof. by move=> H; apply: size_plus_constant; exact: size_affine. Qed.
Lemma size_product (p q : {poly F}) i j : (size p <= i.+1)%N -> (size q <= j.+1)%N -> (size (p * q)%R <= (i + j).+1)%N.
Proof.
by move=> Hp Hq; apply: (leq_trans (size_mul_leq _ _)); rewrite -subn1 leq_subLR add1n -addSn -addnS leq_add.
Qed.
Lemma size_linear_layer heads (u : 'I_N -> nat -> {poly F}) M n o : (forall m c, size (u m c) <= M.+1)%N ->
  (size (linear_layer (@polyC F) u heads n o : {poly F}) <= (3 * M).+1)%N.
Proof.
move=> H; apply: (leq_trans (size_add _ _)); rewrite geq_max; apply/andP; split.
  by apply: (leq_trans (H n o)); rewrite ltnS leq_pmull.
elim: heads => [|h hs IH]; first by rewrite big_nil size_poly0.
rewrite big_cons; apply: (leq_trans (size_add _ _)); rewrite geq_max IH andbT.
apply: (leq_trans (size_sum _ _ _)); apply/bigmax_leqP => m _.
rewrite mul_polyC; apply: (leq_trans (size_scale_leq _ _)).
have -> : (3 * M = (M + M) + M)%N by rewrite mulSn mul2n -addnn addnC.
apply: size_product; last exact: size_projected.
apply: (leq_trans (size_sum _ _ _)); apply/bigmax_leqP => j _.
by apply: size_product; exact: size_projected.
Qed.
Theorem linear_degree_bound net (u : 'I_N -> nat -> {poly F}) M : (forall n c, size (u n c) <= M.+1)%N ->
  forall n o, (size (poly_linear_run net u n o : {poly F}) <= (M * 3 ^ size net).+1)%N.
Proof.
elim: net M u => [|heads net IH] M u H n o; first by rewrite muln1.
by rewrite expnS mulnA [(M * 3)%N]mulnC; apply: IH => m c; exact: size_linear_layer.
Qed.
End Degree.

Section LowerBound.
Variables (F : numFieldType) (N D k : nat) (s : F).
Hypothesis s0 : s != 0.
(* L layers of T rows, however many data points there are, that run k steps: 2k + 1 <= 3^L. *)
Theorem linear_attention_lower_bound T (net : seq (seq (linear_head F T))) (enc : F -> 'I_T -> nat -> F) n o :
  affine_line enc ->
  (forall t, linear_run id net (enc t) n o =
             (iter k (gd (@line_a F D t) (fun=> 0) s N.+1) (t *: delta_mx 0 0)) 0 0) ->
  (2 * k + 1 <= 3 ^ size net)%N.
Proof.
move=> aff H; have := @linear_degree_bound F T net _ 1 (size_line enc) n o; rewrite mul1n.
have -> : linear_run (@polyC F) net (line enc) n o = (1 - s%:P * 'X^2) ^+ k * 'X.
  apply: poly_ext => t; rewrite hornerM hornerX horner_exp rate_horner.
  have phiE (w : F) : horner_eval t (w%:P) = id w by rewrite /horner_eval hornerC.
  have E m c : horner_eval t (line enc m c) = enc t m c by rewrite /horner_eval line_horner.
  by rewrite -[LHS]/(horner_eval t _) (linear_morph phiE net E) H gd_line !mxE !eqxx mulr1.
have nz : (1 - s%:P * 'X^2 : {poly F}) != 0 by rewrite -size_poly_eq0 (size_rate s0).
by rewrite size_mulX ?expf_neq0 // (size_rate_power _ s0) addn1 ltnS.
Qed.
End LowerBound.

(* The depth lower bound: a model of L layers that runs k steps of gradient descent has 2k + 1 <= 2^L, whatever its width,
   its weights, its filters, its positions and its learned branch weights, also where x_init = 0 and it is read at a row
   that does not hold the data. The tight form attains it. *)
From Coq Require Import ZArith.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg poly ssrnum zmodp matrix.
From Precls Require Import Descent Gradient Algorithms.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Models.
Variables (F : numFieldType) (N : nat).
(* Hidden channel h: any mixing of the rows of an affine form, plus a constant by row, times an affine form with a
   constant by row. Every filter, causal, circular or none, is a case of [mix]; positions and biases are constants. The
   output is affine in the hidden channels, plus the input times a branch weight. *)
Record model_layer := ModelLayer {
  n_in : nat; hidden_channels : nat;
  mix : nat -> 'I_N -> 'I_N -> F;
  in_weight : nat -> nat -> F; in_bias : nat -> 'I_N -> F;
  gate_weight : nat -> nat -> F; gate_bias : nat -> 'I_N -> F;
  out_weight : nat -> nat -> F; out_bias : nat -> 'I_N -> F;
  branch : nat -> nat -> F
}.

Section Meaning.
Variables (R : comRingType) (phi : F -> R).
Notation state := ('I_N -> nat -> R).
Definition affine n (w : nat -> F) (v : nat -> R) : R := \sum_(c < n) phi (w c) * v c.
Definition hidden (L : model_layer) (u : state) n h : R :=
  (\sum_(m < N) phi (mix L h n m) * affine (n_in L) (in_weight L h) (u m) + phi (in_bias L h n)) *
  (affine (n_in L) (gate_weight L h) (u n) + phi (gate_bias L h n)).
Definition model_step (u : state) (L : model_layer) : state := fun n o =>
  affine (hidden_channels L) (out_weight L o) (hidden L u n) + phi (out_bias L o n) +
  affine (n_in L) (branch L o) (u n).
Definition model_run (net : seq model_layer) (u : state) : state := foldl model_step u net.
End Meaning.

(* Maps of rings pass through a model. *)
Section Morphism.
Variables (R S : comRingType) (psi : {rmorphism R -> S}) (phi : F -> R) (phi' : F -> S).
Hypothesis phiE : forall w, psi (phi w) = phi' w.
Lemma affine_morph n w (v : nat -> R) (v' : nat -> S) : (forall c, psi (v c) = v' c) ->
  psi (affine phi n w v) = affine phi' n w v'.
Proof. by move=> E; rewrite rmorph_sum; apply: eq_bigr => c _; rewrite rmorphM /= phiE E. Qed.
Lemma run_morph net (u : 'I_N -> nat -> R) (u' : 'I_N -> nat -> S) : (forall n c, psi (u n c) = u' n c) ->
  forall n o, psi (model_run phi net u n o) = model_run phi' net u' n o.
Proof.
elim: net u u' => [|L net IH] u u' E n o; first exact: E.
apply: IH => {}n {}o; rewrite /model_step !rmorphD /= phiE; congr (_ + _ + _); apply: affine_morph => // h.
rewrite rmorphM /= /hidden !rmorphD /= !phiE (affine_morph _ _ (E n)) rmorph_sum; congr ((_ + _) * _).
by apply: eq_bigr => m _; rewrite rmorphM /= phiE (affine_morph _ _ (E m)).
Qed.
End Morphism.

(* ---- degrees along a line: 2^L at most, and one less at a row that is constant ---- *)
Notation poly_run := (model_run (@polyC F)).
Lemma size_affine n w (v : nat -> {poly F}) d : (forall c, size (v c) <= d.+1)%N ->
  (size (affine (@polyC F) n w v : {poly F}) <= d.+1)%N.
Proof.
move=> H; apply: (leq_trans (size_sum _ _ _)); apply/bigmax_leqP => c _.
by rewrite mul_polyC; apply: (leq_trans (size_scale_leq _ _)).
Qed.
Lemma size_plus_constant (p : {poly F}) c d : (size p <= d.+1)%N -> (size (p + c%:P)%R <= d.+1)%N.
Proof.
by move=> H; apply: (leq_trans (size_add _ _)); rewrite geq_max H (leq_trans (size_polyC_leq1 _)).
Qed.
Lemma size_hidden L (u : 'I_N -> nat -> {poly F}) M d n h :
  (forall m c, size (u m c) <= M.+1)%N -> (forall c, size (u n c) <= d.+1)%N ->
  (size (hidden (@polyC F) L u n h : {poly F}) <= (M + d).+1)%N.
Proof.
move=> HM Hd; apply: (leq_trans (size_mul_leq _ _)); rewrite -subn1 leq_subLR add1n.
have -> : ((M + d).+2 = M.+1 + d.+1)%N by rewrite addSn addnS.
apply: leq_add; apply: size_plus_constant; last exact: size_affine.
apply: (leq_trans (size_sum _ _ _)); apply/bigmax_leqP => m _.
by rewrite mul_polyC; apply: (leq_trans (size_scale_leq _ _)); apply: size_affine.
Qed.
Lemma size_step L (u : 'I_N -> nat -> {poly F}) M d n o :
  (forall m c, size (u m c) <= M.+1)%N -> (forall c, size (u n c) <= d.+1)%N ->
  (size (model_step (@polyC F) u L n o : {poly F}) <= (M + d).+1)%N.
Proof.
move=> HM Hd; apply: (leq_trans (size_add _ _)); rewrite geq_max; apply/andP; split.
  by apply: size_plus_constant; apply: size_affine => h; exact: size_hidden.
by apply: (leq_trans (size_affine _ _ Hd)); rewrite ltnS leq_addl.
Qed.
Lemma degree_from net (u : 'I_N -> nat -> {poly F}) M d n o :
  (forall m c, size (u m c) <= M.+1)%N -> (forall c, size (u n c) <= d.+1)%N ->
  (size (poly_run net u n o : {poly F}) <= (M * (2 ^ size net - 1) + d).+1)%N.
Proof.
elim: net M d u => [|L net IH] M d u HM Hd; first by rewrite subnn muln0.
have E : (M * (2 ^ (size net).+1 - 1) + d = (M + M) * (2 ^ size net - 1) + (M + d))%N.
  have p : (0 < 2 ^ size net)%N by rewrite expn_gt0.
  rewrite expnS mul2n -addnn; case: (2 ^ size net)%N p => // y _.
  by rewrite addSn addnS !subn1 /= mulnS mulnDr mulnDl -addnA addnCA.
rewrite [size (L :: net)]/= E; apply: IH => [m c|c]; last exact: size_step.
exact: size_step.
Qed.
(* The degree theorem: at most 2^L in an input of degree one. *)
Theorem degree_bound net (u : 'I_N -> nat -> {poly F}) : (forall n c, size (u n c) <= 2)%N ->
  forall n o, (size (poly_run net u n o : {poly F}) <= (2 ^ size net).+1)%N.
Proof.
move=> H n o; have := @degree_from net u 1 1 n o H (H n).
by rewrite mul1n addn1 subn1 prednK // expn_gt0.
Qed.
Theorem degree_bound_constant_row net (u : 'I_N -> nat -> {poly F}) n :
  (forall m c, size (u m c) <= 2)%N -> (forall c, size (u n c) <= 1)%N ->
  forall o, (size (poly_run net u n o : {poly F}) <= 2 ^ size net)%N.
Proof.
move=> H Hn o; have := @degree_from net u 1 0 n o H Hn.
by rewrite mul1n addn0 subn1 prednK // expn_gt0.
Qed.

(* Two polynomials that agree everywhere are equal. *)
Lemma poly_ext (p q : {poly F}) : (forall t, p.[t] = q.[t]) -> p = q.
Proof.
move=> E; apply/eqP; rewrite -subr_eq0; apply/negPn/negP => nz.
pose rs : seq F := [seq i%:R | i <- iota 0 (size (p - q))].
suff: (size rs < size (p - q)%R)%N by rewrite size_map size_iota ltnn.
apply: max_poly_roots => //.
  by apply/allP => x _; rewrite /root hornerD hornerN E subrr.
by rewrite map_inj_uniq ?iota_uniq // => i j /eqP; rewrite eqr_nat => /eqP.
Qed.
(* An input that is affine along a line, as polynomials. *)
Definition line (enc : F -> 'I_N -> nat -> F) n c : {poly F} := (enc 0 n c)%:P + (enc 1 n c - enc 0 n c)%:P * 'X.
Definition affine_line (enc : F -> 'I_N -> nat -> F) := forall n c, exists al be, forall t, enc t n c = al + be * t.
Lemma line_horner enc t n c : affine_line enc -> (line enc n c).[t] = enc t n c.
Proof.
move=> aff; have [al [be E]] := aff n c; rewrite /line hornerD hornerM !hornerC hornerX !E mulr0 addr0 mulr1.
by rewrite [al + be]addrC addrK.
Qed.
Lemma size_line enc n c : (size (line enc n c) <= 2)%N.
Proof.
apply: (leq_trans (size_add _ _)); rewrite geq_max (leq_trans (size_polyC_leq1 _)) //=.
by rewrite mul_polyC (leq_trans (size_scale_leq _ _)) // size_polyX.
Qed.
Lemma run_line net enc t n o : affine_line enc ->
  (poly_run net (line enc) n o : {poly F}).[t] = model_run id net (enc t) n o.
Proof.
move=> aff; have phiE (w : F) : horner_eval t (w%:P) = id w by rewrite /horner_eval hornerC.
have E m c : horner_eval t (line enc m c) = enc t m c by rewrite /horner_eval line_horner.
exact: (run_morph phiE net E).
Qed.
End Models.

(* ---- gradient descent along a line ---- *)
Section Line.
Variables (F : numFieldType) (N D k : nat) (s : F).
Hypothesis s0 : s != 0.
Notation e := (delta_mx 0 0 : 'cV[F]_D.+1).
(* One data row t e_0, all others zero. *)
Definition line_a (t : F) (n : nat) : 'cV[F]_D.+1 := if n == 0%N then t *: e else 0.
Definition line_b (t : F) (n : nat) : F := if n == 0%N then t else 0.
Lemma line_gram t : gram (line_a t) N.+1 = (t * t) *: delta_mx 0 0.
Proof.
rewrite /gram big_ord_recl big1 => [|i _]; last by rewrite mul0mx.
by rewrite addr0 /line_a /= [(_ *: _)^T]linearZ /= trmx_delta -scalemxAl -scalemxAr mul_delta_mx scalerA.
Qed.
Lemma line_moment t : moment (line_a t) (line_b t) N.+1 = (t * t) *: e.
Proof.
rewrite /moment big_ord_recl big1 => [|i _]; last by rewrite scale0r.
by rewrite addr0 /line_a /line_b /= scalerA.
Qed.
(* From x_init = t e_0 with targets zero: (1 - s t^2)^k t. *)
Lemma gd_line t : iter k (gd (line_a t) (fun=> 0) s N.+1) (t *: e) = ((1 - s * t ^+ 2) ^+ k * t) *: e.
Proof.
have c0 : moment (line_a t) (fun=> 0) N.+1 = 0 by rewrite /moment big1 // => i _; rewrite scale0r.
elim: k => [|j IH]; first by rewrite expr0 mul1r.
rewrite iterS IH /gd /gradient line_gram c0 subr0 -scalemxAl -scalemxAr mul_delta_mx !scalerA -scalerBl; congr (_ *: _).
by rewrite [_ ^+ j.+1]exprS expr2 -!mulrA mulrBl mul1r -!mulrA.
Qed.
(* From x_init = 0 with the target t: 1 - (1 - s t^2)^k. *)
Lemma gd_line0 t : iter k (gd (line_a t) (line_b t) s N.+1) 0 = (1 - (1 - s * t ^+ 2) ^+ k) *: e.
Proof.
elim: k => [|j IH]; first by rewrite expr0 subrr scale0r.
rewrite iterS IH /gd /gradient line_gram line_moment -scalemxAl -scalemxAr mul_delta_mx !scalerA -!scalerBl scalerA -scalerBl.
congr (_ *: _); rewrite [_ ^+ j.+1]exprS expr2; move: (t * t) => q; move: ((1 - s * q) ^+ j) => p.
have -> : q * (1 - p) - q = - (q * p) by rewrite mulrBr mulr1 addrAC subrr add0r.
by rewrite mulrN opprK mulrBl mul1r opprB mulrA -addrA [- p + _]addrC.
Qed.

Lemma size_rate : size (1 - s%:P * 'X^2 : {poly F}) = 3%N.
Proof. by rewrite addrC size_addl ?size_opp mul_polyC size_scale ?size_polyXn ?size_poly1. Qed.
Lemma size_rate_power : size ((1 - s%:P * 'X^2) ^+ k : {poly F}) = (2 * k).+1.
Proof.
have nz : (1 - s%:P * 'X^2 : {poly F}) != 0 by rewrite -size_poly_eq0 size_rate.
by rewrite (polySpred (expf_neq0 _ nz)) size_exp size_rate.
Qed.
Lemma rate_horner t : (1 - s%:P * 'X^2 : {poly F}).[t] = 1 - s * t ^+ 2.
Proof. by rewrite hornerD hornerN hornerM !hornerC hornerXn. Qed.

(* A model of T rows, however many data points there are, that runs k steps on an input that is affine in the data and in
   x_init. *)
Theorem depth_lower_bound T (net : seq (model_layer F T)) (enc : F -> 'I_T -> nat -> F) n o :
  affine_line enc ->
  (forall t, model_run id net (enc t) n o = (iter k (gd (line_a t) (fun=> 0) s N.+1) (t *: e)) 0 0) ->
  (2 * k + 1 <= 2 ^ size net)%N.
Proof.
move=> aff H; have := degree_bound net (size_line enc) n o.
have -> : model_run (@polyC F) net (line enc) n o = (1 - s%:P * 'X^2) ^+ k * 'X.
  apply: poly_ext => t; rewrite run_line // H gd_line !mxE !eqxx mulr1.
  by rewrite hornerM hornerX horner_exp rate_horner.
have nz : (1 - s%:P * 'X^2 : {poly F}) != 0 by rewrite -size_poly_eq0 size_rate.
by rewrite size_mulX ?expf_neq0 // size_rate_power addn1 ltnS.
Qed.
(* The same from x_init = 0, read at a row without data. *)
Theorem depth_lower_bound_from_zero T (net : seq (model_layer F T)) (enc : F -> 'I_T -> nat -> F) n o :
  affine_line enc -> (forall t t' c, enc t n c = enc t' n c) ->
  (forall t, model_run id net (enc t) n o = (iter k (gd (line_a t) (line_b t) s N.+1) 0) 0 0) ->
  (2 * k + 1 <= 2 ^ size net)%N.
Proof.
move=> aff fixed H.
have Hn c : (size (line enc n c) <= 1)%N.
  by rewrite /line (fixed 1 0) subrr mul0r addr0 size_polyC_leq1.
have := degree_bound_constant_row net (size_line enc) Hn o.
have -> : model_run (@polyC F) net (line enc) n o = 1 - (1 - s%:P * 'X^2) ^+ k.
  apply: poly_ext => t; rewrite run_line // H gd_line0 !mxE !eqxx mulr1.
  by rewrite hornerD hornerN horner_exp rate_horner hornerC.
case: (posnP k) => [->|k0]; first by rewrite muln0 add0n expn_gt0.
have lt : (size (1 : {poly F})%R < size (- (1 - s%:P * 'X^2) ^+ k : {poly F})%R)%N.
  by rewrite size_opp size_rate_power size_poly1 ltnS muln_gt0.
by rewrite addrC size_addl // size_opp size_rate_power addn1.
Qed.
End Line.

(* The tight form has the least depth for every k: as many layers as binary digits, and one more. *)
Lemma bits_bound k : (2 ^ (size (bits k)).-1 <= Pos.to_nat k)%N.
Proof.
have pos p : (0 < size (bits p))%N by case: p.
elim: k => [p IH|p IH|] //=; rewrite -?[(size _).+1.-1]/(size _) -(prednK (pos p)) expnS mul2n.
  by rewrite Pos2Nat.inj_xI -/(2 * _)%coq_nat multE mul2n ltnW // ltnS leq_double.
by rewrite Pos2Nat.inj_xO multE mul2n leq_double.
Qed.
Theorem tight_is_optimal D acc spread s k L : (2 * Pos.to_nat k + 1 <= 2 ^ L)%N ->
  (size (tight_layers D acc spread s (bits k)) <= L)%N.
Proof.
rewrite /tight_layers /= size_map => H; rewrite -(ltn_exp2l _ _ (isT : 1 < 2)%N) (leq_trans _ H) // addn1 ltnS.
have p : (0 < size (bits k))%N by case: (k).
by rewrite -(prednK p) expnS leq_mul2l bits_bound.
Qed.

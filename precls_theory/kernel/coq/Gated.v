(* Multiply in one gated MLP with a residual connection, for every number of rows, channels and products. A hidden unit is
   act(gate u) . up u. A product takes a unit for each sign s with s act(s z) summing to z: two for SwiGLU, GEGLU and ReGLU, whose
   act z - act(-z) = z, one for a bilinear MLP. As many take away what the target channels held. *)
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg order ssrnum zmodp matrix.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Gated.
Variables (R : comRingType) (act : R -> R) (C : finType).
Notation state := (nat -> C -> R).                            (* row, channel *)
Record gated_mlp (hidden : finType) := GatedMlp {
  gate_weight : C -> hidden -> R; gate_bias : hidden -> R;
  up_weight : C -> hidden -> R; up_bias : hidden -> R;
  down : hidden -> C -> R
}.
Definition apply_mlp (hidden : finType) (M : gated_mlp hidden) (u : state) : state := fun n c => u n c +
  \sum_h act (\sum_d u n d * gate_weight M d h + gate_bias M h) * (\sum_d u n d * up_weight M d h + up_bias M h) * down M h c.

(* Units by product, sign, and whether they form the product or take away the target. *)
Variables (products sign : finType) (s : sign -> R) (left right target : products -> C).
Hypothesis target_inj : injective target.
Definition add_products : gated_mlp [finType of products * sign] := GatedMlp
  (fun d h => s h.2 *+ (d == left h.1)) (fun=> 0) (fun d h => (d == right h.1)%:R) (fun=> 0)
  (fun h c => s h.2 *+ (c == target h.1)).
Definition multiply_mlp : gated_mlp [finType of products * sign * bool] := GatedMlp
  (fun d h => s h.1.2 *+ (d == (if h.2 then left else target) h.1.1)) (fun=> 0)
  (fun d h => (h.2 && (d == right h.1.1))%:R) (fun h => (~~ h.2)%:R)
  (fun h c => (if h.2 then s h.1.2 else - s h.1.2) *+ (c == target h.1.1)).

Hypothesis signs : forall z, \sum_t s t * act (s t * z) = z.
Lemma pick (F : C -> R) (k : R) d0 : \sum_d F d * (k *+ (d == d0)) = k * F d0.
Proof. by rewrite (bigD1 d0) //= eqxx mulr1n big1 ?addr0 1?mulrC // => d /negbTE ->; rewrite mulr0n mulr0. Qed.
Lemma products_of z y (b : bool) : \sum_t (s t * act (s t * z) * y) *+ b = (z * y) *+ b.
Proof. by rewrite sumrMnl -mulr_suml signs. Qed.
Lemma at_target (F : products -> R) i : \sum_j F j *+ (target i == target j) = F i.
Proof.
rewrite (bigD1 i) //= eqxx mulr1n big1 ?addr0 // => j; rewrite eq_sym => /negbTE ne.
by rewrite (inj_eq target_inj) ne mulr0n.
Qed.

(* target += left . right, at every row *)
Lemma add_products_sum u n c : apply_mlp add_products u n c = u n c + \sum_i (u n (left i) * u n (right i)) *+ (c == target i).
Proof.
rewrite /apply_mlp; congr (_ + _).
rewrite (eq_bigr (fun h : products * sign => (s h.2 * act (s h.2 * u n (left h.1)) * u n (right h.1)) *+ (c == target h.1))).
  rewrite -(pair_bigA _ (fun i t => (s t * act (s t * u n (left i)) * u n (right i)) *+ (c == target i))) /=.
  by apply: eq_bigr => i _; exact: products_of.
move=> [i t] _ /=; rewrite !addr0 pick (eq_bigr (fun d => u n d * (1 *+ (d == right i)))) // pick mul1r.
by rewrite mulrnAr mulrC mulrA.
Qed.
Theorem add_products_correct u n i :
  apply_mlp add_products u n (target i) = u n (target i) + u n (left i) * u n (right i).
Proof. by rewrite add_products_sum at_target. Qed.
Theorem add_products_elsewhere u n c : (forall i, c != target i) -> apply_mlp add_products u n c = u n c.
Proof. by move=> H; rewrite add_products_sum big1 ?addr0 // => i _; rewrite (negbTE (H i)). Qed.

(* target <- left . right, at every row *)
Lemma multiply_sum u n c : apply_mlp multiply_mlp u n c =
  u n c + \sum_i (u n (left i) * u n (right i)) *+ (c == target i) - \sum_i u n (target i) *+ (c == target i).
Proof.
rewrite /apply_mlp -addrA; congr (_ + _).
pose term i (b : bool) t := if b then (s t * act (s t * u n (left i)) * u n (right i)) *+ (c == target i)
  else - ((s t * act (s t * u n (target i)) * 1) *+ (c == target i)).
rewrite (eq_bigr (fun h : products * sign * bool => term h.1.1 h.2 h.1.2)).
  rewrite -(pair_bigA _ (fun p b => term p.1 b p.2)) /= -(pair_bigA _ (fun i t => \sum_b term i b t)) /= -sumrB.
  apply: eq_bigr => i _; rewrite (eq_bigr (fun t => term i true t + term i false t)) => [|t _]; last by rewrite big_bool.
  by rewrite big_split /= sumrN !products_of mulr1.
move=> [[i t] b] _ /=; rewrite addr0 pick /term; case: b => /=.
  by rewrite addr0 (eq_bigr (fun d => u n d * (1 *+ (d == right i)))) // pick mul1r mulrnAr mulrC mulrA.
rewrite big1 ?add0r => [|d _]; last by rewrite mulr0.
by case: (c == _); rewrite ?mulr1n ?mulr0n ?mulr0 ?oppr0 // !mulr1 mulrN mulrC.
Qed.
Theorem multiply_correct u n i : apply_mlp multiply_mlp u n (target i) = u n (left i) * u n (right i).
Proof. by rewrite multiply_sum !at_target addrAC subrr add0r. Qed.
Theorem multiply_elsewhere u n c : (forall i, c != target i) -> apply_mlp multiply_mlp u n c = u n c.
Proof.
move=> H; have zero (F : products -> R) : \sum_i F i *+ (c == target i) = 0.
  by rewrite big1 // => i _; rewrite (negbTE (H i)).
by rewrite multiply_sum !zero addr0 subr0.
Qed.
(* Hidden units: one a product for each sign, and as many again to take the target away. *)
Theorem add_products_hidden : #|[finType of products * sign]| = (#|products| * #|sign|)%N.
Proof. exact: card_prod. Qed.
Theorem multiply_hidden : #|[finType of products * sign * bool]| = (#|products| * #|sign| * 2)%N.
Proof. by rewrite !card_prod card_bool. Qed.
End Gated.

(* The signs: both for an activation whose odd part is half its argument, one for a bilinear MLP; ReLU is of the first kind. *)
Definition both (R : ringType) (b : bool) : R := if b then 1 else - 1.
Theorem gate_signs (R : comRingType) (act : R -> R) : (forall z, act z - act (- z) = z) ->
  forall z, \sum_t both R t * act (both R t * z) = z.
Proof. by move=> H z; rewrite big_bool /= !mul1r !mulN1r H. Qed.
Theorem bilinear_signs (R : comRingType) (z : R) : \sum_(t : unit) 1 * id (1 * z) = z.
Proof. by rewrite (bigD1 tt) //= big1 ?addr0 ?mul1r // => -[]. Qed.
Theorem relu_odd_part (R : realDomainType) (z : R) : (if 0 <= z then z else 0) - (if 0 <= - z then - z else 0) = z.
Proof.
rewrite oppr_ge0; case: (ltrgt0P z) => [z0|z0|->]; first by rewrite subr0.
  by rewrite sub0r opprK.
by rewrite oppr0 subr0.
Qed.

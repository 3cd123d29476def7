(* What softmax cannot do: every Transformer of linear growth is not Square, nor Multiply, nor a step of gradient descent.
   Any depth, width, number of heads and mask; attention weights may depend on the input in any way (positions, rotations,
   biases of the scores), as long as they are nonnegative and sum to one. *)
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg order ssrnum zmodp matrix.
From Precls Require Import Descent LowerBound.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.TTheory.
Local Open Scope ring_scope.

Section Growth.
Variables (R : realFieldType) (N : nat).
Notation act k l := ('M[R]_(N, k) -> 'M[R]_(N, l)).
Definition within k (u : 'M[R]_(N, k)) (B : R) := forall n c, `|u n c| <= B.
(* |F(u)| <= C0 + C1 |u|, in the largest entry *)
Definition grows_linearly k l (f : act k l) :=
  exists C : R * R, [/\ 0 <= C.1, 0 <= C.2 & forall u B, 0 <= B -> within u B -> within (f u) (C.1 + C.2 * B)].
Definition is_bounded k l (f : act k l) := exists2 C : R, 0 <= C & forall u, within (f u) C.

Lemma bounded_grows k l (f : act k l) : is_bounded f -> grows_linearly f.
Proof. by move=> [C C0 H]; exists (C, 0); split=> //= u B _ _; rewrite mul0r addr0. Qed.
Lemma grows_id k : grows_linearly (fun u : 'M[R]_(N, k) => u).
Proof. by exists (0, 1); split; rewrite ?ler01 //= => u B _ Hu; rewrite add0r mul1r. Qed.
Lemma grows_comp k l p (f : act k l) (g : act l p) : grows_linearly f -> grows_linearly g -> grows_linearly (fun u => g (f u)).
Proof.
move=> [[C0 C1] /= [p0 p1 Hf]] [[E0 E1] /= [q0 q1 Hg]]; exists (E0 + E1 * C0, E1 * C1).
split; rewrite /= ?addr_ge0 ?mulr_ge0 // => u B B0 Hu n c.
have B1 : 0 <= C0 + C1 * B by rewrite addr_ge0 ?mulr_ge0.
by have := Hg (f u) _ B1 (Hf u B B0 Hu) n c; rewrite mulrDr !mulrA addrA.
Qed.
Lemma grows_add k l (f g : act k l) : grows_linearly f -> grows_linearly g -> grows_linearly (fun u => f u + g u).
Proof.
move=> [[C0 C1] /= [p0 p1 Hf]] [[E0 E1] /= [q0 q1 Hg]]; exists (C0 + E0, C1 + E1).
split; rewrite /= ?addr_ge0 // => u B B0 Hu n c; rewrite mxE mulrDl addrACA.
by apply: (le_trans (ler_norm_add _ _)); apply: ler_add; [apply: Hf | apply: Hg].
Qed.
(* The sum of the absolute values bounds each entry. *)
Definition total k l (M : 'M[R]_(k, l)) : R := \sum_i \sum_j `|M i j|.
Lemma total_ge0 k l (M : 'M[R]_(k, l)) : 0 <= total M.
Proof. by apply: sumr_ge0 => i _; apply: sumr_ge0. Qed.
Lemma entry_le_total k l (M : 'M[R]_(k, l)) i j : `|M i j| <= total M.
Proof.
rewrite /total (bigD1 i) //= (bigD1 j) //= -addrA ler_addl addr_ge0 ?sumr_ge0 // => i' _.
by rewrite sumr_ge0.
Qed.
Lemma grows_affine k l (W : 'M[R]_(k, l)) (b : 'M[R]_(N, l)) : grows_linearly (fun u => u *m W + b).
Proof.
exists (total b, total W); split; rewrite ?total_ge0 //= => u B B0 Hu n c.
rewrite !mxE addrC; apply: (le_trans (ler_norm_add _ _)); apply: ler_add; first exact: entry_le_total.
apply: (le_trans (ler_norm_sum _ _ _)); rewrite /total mulr_suml; apply: ler_sum => i _.
rewrite normrM mulrC; apply: ler_pmul => //.
by rewrite (bigD1 c) //= ler_addl sumr_ge0.
Qed.
Lemma bounded_affine k l p (f : act k l) (W : 'M[R]_(l, p)) (b : 'M[R]_(N, p)) :
  is_bounded f -> is_bounded (fun u => f u *m W + b).
Proof.
move=> [C C0 H]; have [[E0 E1] /= [p0 p1 G]] := grows_affine W b.
by exists (E0 + E1 * C) => [|u]; [rewrite addr_ge0 ?mulr_ge0 | exact: G].
Qed.
(* Attention: an average of the values of the rows. *)
Lemma grows_average k l (v : act k l) (w : 'M[R]_(N, k) -> 'M[R]_N) :
  (forall u n m, 0 <= w u n m) -> (forall u n, \sum_m w u n m = 1) -> grows_linearly v -> grows_linearly (fun u => w u *m v u).
Proof.
move=> w0 w1 [[C0 C1] /= [p0 p1 Hv]]; exists (C0, C1); split=> //= u B B0 Hu n c; rewrite mxE.
apply: (le_trans (ler_norm_sum _ _ _)); rewrite -[C0 + _]mul1r -(w1 u n) mulr_suml; apply: ler_sum => m _.
by rewrite normrM (ger0_norm (w0 _ _ _)); apply: ler_wpmul2l => //; apply: Hv.
Qed.
(* ReLU, GELU, SiLU: |g x| <= |x|. *)
Definition contracts (g : R -> R) := forall x, `|g x| <= `|x|.
Definition entrywise k (g : R -> R) : act k k := fun u => \matrix_(n, c) g (u n c).
Lemma grows_activation k g : contracts g -> grows_linearly (@entrywise k g).
Proof.
move=> Hg; exists (0, 1); split; rewrite ?ler01 //= => u B _ Hu n c; rewrite mxE add0r mul1r.
exact: le_trans (Hg _) (Hu n c).
Qed.
Definition times k l (f g : act k l) : act k l := fun u => \matrix_(n, c) (f u n c * g u n c).
(* A gate that is bounded (the sigmoid of a GLU) times a map of linear growth. *)
Lemma grows_gated k l (f g : act k l) : is_bounded f -> grows_linearly g -> grows_linearly (times f g).
Proof.
move=> [C Cp Hf] [[E0 E1] /= [q0 q1 Hg]]; exists (C * E0, C * E1); split; rewrite /= ?mulr_ge0 // => u B B0 Hu n c.
by rewrite mxE normrM -mulrA -mulrDr; apply: ler_pmul => //; [apply: Hf | apply: Hg].
Qed.
Lemma bounded_times k l (f g : act k l) : is_bounded f -> is_bounded g -> is_bounded (times f g).
Proof.
move=> [C Cp Hf] [E Ep Hg]; exists (C * E); first by rewrite mulr_ge0.
by move=> u n c; rewrite mxE normrM; apply: ler_pmul => //; [apply: Hf | apply: Hg].
Qed.
Lemma bounded_activation k l (f : act k l) g : contracts g -> is_bounded f -> is_bounded (fun u => entrywise g (f u)).
Proof. by move=> Hg [C Cp Hf]; exists C => // u n c; rewrite mxE; apply: le_trans (Hg _) (Hf u n c). Qed.
Lemma bounded_comp k l p (f : act k l) (g : act l p) : is_bounded g -> is_bounded (fun u => g (f u)).
Proof. by move=> [C Cp H]; exists C => // u; exact: H. Qed.
Lemma bounded_zero k l : is_bounded (fun=> 0 : 'M[R]_(N, l)) (k := k).
Proof. by exists 0 => // u n c; rewrite mxE normr0. Qed.
Lemma bounded_add k l (f g : act k l) : is_bounded f -> is_bounded g -> is_bounded (fun u => f u + g u).
Proof.
move=> [C Cp Hf] [E Ep Hg]; exists (C + E) => [|u n c]; first exact: addr_ge0.
by rewrite mxE (le_trans (ler_norm_add _ _)) // ler_add // ?Hf ?Hg.
Qed.
End Growth.
(* A product of bounded matrices. *)
Lemma within_mul (R : realFieldType) p q r (A : 'M[R]_(p, q)) (B : 'M_(q, r)) C E :
  within A C -> within B E -> within (A *m B) (C * E *+ q).
Proof.
move=> HA HB n c; rewrite mxE (le_trans (ler_norm_sum _ _ _)) // -[X in _ *+ X]card_ord -sumr_const.
by apply: ler_sum => i _; rewrite normrM ler_pmul.
Qed.

(* ---- Transformers ---- *)
Section Transformers.
Variables (R : realFieldType) (N k : nat).
Notation act k l := ('M[R]_(N, k) -> 'M[R]_(N, l)).
(* A softmax head: weights that are nonnegative with sum one, whatever they are made of; affine values, linear output. *)
Record head := Head {
  head_width : nat;
  scores : 'M[R]_(N, k) -> 'M[R]_N;
  scores_ge0 : forall u n m, 0 <= scores u n m;
  scores_sum : forall u n, \sum_m scores u n m = 1;
  value_weight : 'M[R]_(k, head_width);
  value_bias : 'M[R]_(N, head_width);
  head_out : 'M[R]_(head_width, k)
}.
Definition run_head (h : head) (u : 'M[R]_(N, k)) := scores h u *m (u *m value_weight h + value_bias h) *m head_out h.
Definition attention (heads : seq head) (u : 'M[R]_(N, k)) := \sum_(h <- heads) run_head h u.

(* Linear attention: scores that nothing bounds, times a mask of any weights. *)
Record linear_head := LinearHead {
  key_width : nat; linear_width : nat;
  mask : 'M[R]_N;
  query_weight : 'M[R]_(k, key_width); query_bias : 'M[R]_(N, key_width);
  key_weight : 'M[R]_(k, key_width); key_bias : 'M[R]_(N, key_width);
  linear_value_weight : 'M[R]_(k, linear_width); linear_value_bias : 'M[R]_(N, linear_width);
  linear_out : 'M[R]_(linear_width, k)
}.
Definition run_linear (h : linear_head) (u : 'M[R]_(N, k)) :=
  let scores := (u *m query_weight h + query_bias h) *m (u *m key_weight h + key_bias h)^T in
  (\matrix_(n, m) (mask h n m * scores n m)) *m (u *m linear_value_weight h + linear_value_bias h) *m linear_out h.
Definition linear_attention (heads : seq linear_head) (u : 'M[R]_(N, k)) := \sum_(h <- heads) run_linear h u.

(* The parts of a block. MLPs have an activation with |g x| <= |x| (ReLU, GELU, SiLU) or are a GLU with a bounded gate
   (sigmoid); a norm (LayerNorm or RMSNorm with eps > 0) is a bounded map. Behind a norm, any gate may stand: SwiGLU, GEGLU,
   ReGLU, and bilinear with g x = x; and so may linear attention. *)
Inductive part : act k k -> Prop :=
| Attention heads : part (attention heads)
| Mlp h g (W1 : 'M_(k, h)) b1 (W2 : 'M_(h, k)) b2 : contracts g ->
    part (fun u => entrywise g (u *m W1 + b1) *m W2 + b2)
| Glu h (gate : 'M[R]_(N, h) -> 'M[R]_(N, h)) (W1 W2 : 'M_(k, h)) b1 b2 (W3 : 'M_(h, k)) b3 : is_bounded gate ->
    part (fun u => times (fun u => gate (u *m W1 + b1)) (fun u => u *m W2 + b2) u *m W3 + b3)
| GatedAfterNorm h (norm : act k k) g (W1 W2 : 'M_(k, h)) b1 b2 (W3 : 'M_(h, k)) b3 : is_bounded norm -> contracts g ->
    part (fun u => times (fun u => entrywise g (norm u *m W1 + b1)) (fun u => norm u *m W2 + b2) u *m W3 + b3)
| LinearAfterNorm (norm : act k k) heads : is_bounded norm -> part (fun u => linear_attention heads (norm u))
| AfterNorm (norm : act k k) f : is_bounded norm -> part f -> part (fun u => f (norm u)).
(* Any number of parts, each with its residual connection, with or without norms in between. *)
Inductive transformer : act k k -> Prop :=
| Start : transformer (fun u => u)
| Residual F f : transformer F -> part f -> transformer (fun u => F u + f (F u))
| PostNorm F (norm : act k k) : transformer F -> is_bounded norm -> transformer (fun u => norm (F u)).

Lemma attention_grows heads : grows_linearly (attention heads).
Proof.
rewrite /attention; elim: heads => [|h hs [C H]].
  by exists (0, 0); split=> //= u B _ _ n c; rewrite big_nil mxE normr0 mul0r addr0.
suff [E HE] : grows_linearly (fun u => run_head h u + \sum_(h <- hs) run_head h u).
  by exists E; case: HE => p q HE; split=> // u B B0 Hu; rewrite big_cons; apply: HE.
apply: grows_add; last by exists C.
have [E0 [p q HE]] := grows_comp (grows_average (@scores_ge0 h) (@scores_sum h) (grows_affine (value_weight h) (value_bias h)))
  (grows_affine (head_out h) 0).
by exists E0; split=> // u B B0 Hu n c; have := HE u B B0 Hu n c; rewrite addr0.
Qed.
(* Linear attention behind a norm is bounded: three bounded factors. *)
Theorem linear_after_norm_bounded (norm : act k k) heads : is_bounded norm -> is_bounded (fun u => linear_attention heads (norm u)).
Proof.
move=> Hn; rewrite /linear_attention; elim: heads => [|h hs [C C0 IH]].
  by have [C C0 H] := @bounded_zero R N k k; exists C => // u; rewrite big_nil; exact: (H u).
suff [E E0 HE] : is_bounded (fun u => run_linear h (norm u) + \sum_(h <- hs) run_linear h (norm u)).
  by exists E => // u; rewrite big_cons; exact: HE.
apply: bounded_add; last by exists C.
have [Q Q0 HQ] := bounded_affine (query_weight h) (query_bias h) Hn.
have [K K0 HK] := bounded_affine (key_weight h) (key_bias h) Hn.
have [V V0 HV] := bounded_affine (linear_value_weight h) (linear_value_bias h) Hn.
exists (total (mask h) * (Q * K *+ key_width h) * V *+ N * total (linear_out h) *+ linear_width h) => [|u].
  by rewrite mulrn_wge0 // mulr_ge0 ?total_ge0 // mulrn_wge0 // !mulr_ge0 ?total_ge0 // mulrn_wge0 // mulr_ge0.
apply: within_mul (@entry_le_total _ _ _ _); apply: within_mul (HV u) => n m; rewrite mxE normrM.
apply: ler_pmul => //; first exact: entry_le_total.
by apply: within_mul (HQ u) _ n m => i j; rewrite mxE; exact: HK.
Qed.
Lemma part_grows f : part f -> grows_linearly f.
Proof.
elim=> [heads|h g W1 b1 W2 b2 Hg|h gate W1 W2 b1 b2 W3 b3 Hg|h norm g W1 W2 b1 b2 W3 b3 Hn Hg|norm heads Hn|norm {}f Hn _ IH].
- exact: attention_grows.
- exact: (grows_comp (grows_comp (grows_affine W1 b1) (@grows_activation R N h g Hg)) (grows_affine W2 b2)).
- have Hgate : is_bounded (fun u : 'M[R]_(N, k) => gate (u *m W1 + b1)) by exact: bounded_comp Hg.
  exact: (grows_comp (grows_gated Hgate (grows_affine W2 b2)) (grows_affine W3 b3)).
- apply: bounded_grows; apply: bounded_affine; apply: bounded_times.
    by apply: bounded_activation => //; exact: bounded_affine.
  exact: bounded_affine.
- exact: bounded_grows (linear_after_norm_bounded heads Hn).
- exact: (grows_comp (bounded_grows Hn) IH).
Qed.
Theorem transformer_grows F : transformer F -> grows_linearly F.
Proof.
elim=> [|{}F f _ IH Hf|{}F norm _ IH Hn]; first exact: grows_id.
- exact: (grows_add IH (grows_comp IH (part_grows Hf))).
- exact: (grows_comp IH (bounded_grows Hn)).
Qed.
End Transformers.

(* A gated MLP behind a norm is bounded: its gate decides nothing any more. *)
Theorem gated_after_norm_bounded (R : realFieldType) N k h l (norm : 'M[R]_(N, k) -> 'M[R]_(N, k)) g
  (W1 W2 : 'M[R]_(k, h)) b1 b2 (W3 : 'M[R]_(h, l)) b3 : is_bounded norm -> contracts g ->
  is_bounded (fun u => times (fun u => entrywise g (norm u *m W1 + b1)) (fun u => norm u *m W2 + b2) u *m W3 + b3).
Proof.
move=> Hn Hg; apply: bounded_affine; apply: bounded_times; last exact: bounded_affine.
by apply: bounded_activation => //; exact: bounded_affine.
Qed.

(* ---- what they cannot be ---- *)
Section Impossible.
Variables (R : realFieldType) (N : nat).
Lemma ray k l (f : 'M[R]_(N, k) -> 'M[R]_(N, l)) n c (u : R -> 'M[R]_(N, k)) (p : R -> R) :
  grows_linearly f -> (forall t, 1 <= t -> within (u t) t) -> (forall K, 0 <= K -> exists2 t, 1 <= t & K * t < `|p t|) ->
  ~ (forall t, f (u t) n c = p t).
Proof.
move=> [[C0 C1] /= [p0 p1 H]] Hu Hp E; have [t t1] := Hp (C0 + C1) (addr_ge0 p0 p1).
have t0 : 0 <= t := le_trans ler01 t1.
move=> big; suff : `|p t| <= (C0 + C1) * t by rewrite leNgt big.
rewrite -E; apply: (le_trans (H _ t t0 (Hu t t1) n c)).
by rewrite mulrDl ler_add2r ler_pemulr.
Qed.
Lemma large (e K : R) : 0 < e -> 0 <= K -> exists2 t, 1 <= t & K < e * t.
Proof.
move=> e0 K0; exists (K / e + 1); first by rewrite ler_addr divr_ge0 // ltW.
by rewrite mulrDr mulr1 mulrCA divff ?gt_eqF // mulr1 ltr_addl.
Qed.
Lemma square_outgrows K : 0 <= K -> exists2 t : R, 1 <= t & K * t < `|t ^+ 2|.
Proof.
move=> K0; have [t t1 Kt] := large ltr01 K0; rewrite mul1r in Kt; exists t => //.
by rewrite ger0_norm ?sqr_ge0 // expr2 ltr_pmul2r // (lt_le_trans ltr01).
Qed.
Variables (k l : nat) (n : 'I_N).
(* Whatever the row, the channels and the read-out: u is the affine input of the model. *)
Theorem not_square (f : 'M[R]_(N, k) -> 'M[R]_(N, l)) (i : 'I_k) c : grows_linearly f -> ~ (forall u, f u n c = u n i ^+ 2).
Proof.
move=> Hf E; apply: (ray (n := n) (c := c) (u := fun t => const_mx t) (p := fun t => t ^+ 2) Hf _ square_outgrows) => [t t1 m d|t].
  by rewrite mxE ger0_norm // (le_trans ler01).
by rewrite E mxE.
Qed.
Theorem not_multiply (f : 'M[R]_(N, k) -> 'M[R]_(N, l)) (i j : 'I_k) c :
  grows_linearly f -> ~ (forall u, f u n c = u n i * u n j).
Proof.
move=> Hf E; apply: (ray (n := n) (c := c) (u := fun t => const_mx t) (p := fun t => t ^+ 2) Hf _ square_outgrows) => [t t1 m d|t].
  by rewrite mxE ger0_norm // (le_trans ler01).
by rewrite E !mxE expr2.
Qed.
(* Nor a step of gradient descent, in any layout whose entries are at most as large as the data and x_init. *)
Theorem not_gradient_step (f : 'M[R]_(N, k) -> 'M[R]_(N, l)) c (s : R) P D (enc : R -> 'M[R]_(N, k)) :
  s != 0 -> grows_linearly f -> (forall t, 1 <= t -> within (enc t) t) ->
  ~ (forall t, f (enc t) n c = gd (@line_a R D t) (fun=> 0) s P.+1 (t *: delta_mx 0 0) 0 0).
Proof.
move=> s0 Hf Henc; apply: ray Hf Henc _ => K K0.
have e0 : 0 < `|s| by rewrite normr_gt0.
have [t t1 Kt] := large e0 (addr_ge0 K0 ler01); exists t => //.
have t0 : 0 < t := lt_le_trans ltr01 t1.
rewrite -[gd _ _ _ _ _]/(iter 1 (gd (line_a D t) (fun=> 0) s P.+1) (t *: delta_mx 0 0)) gd_line !mxE !eqxx mulr1 expr1.
have lower : `|s| * t ^+ 2 - 1 <= `|1 - s * t ^+ 2|.
  by have := ler_sub_dist (s * t ^+ 2) 1; rewrite normr1 normrM (ger0_norm (sqr_ge0 t)) distrC.
rewrite normrM (gtr0_norm t0) ltr_pmul2r // (lt_le_trans _ lower) // ltr_subr_addr (lt_le_trans Kt) //.
by rewrite expr2 mulrA ler_pemulr // mulr_ge0 // ltW.
Qed.
End Impossible.

(* A model: an affine read-in with positions, a Transformer, an affine read-out. *)
Section Model.
Variables (R : realFieldType) (N d k l : nat) (W : 'M[R]_(d, k)) (b : 'M[R]_(N, k)) (V : 'M[R]_(k, l)) (c : 'M[R]_(N, l)).
Theorem transformer_model_grows (F : 'M[R]_(N, k) -> 'M[R]_(N, k)) :
  transformer F -> grows_linearly (fun u : 'M[R]_(N, d) => F (u *m W + b) *m V + c).
Proof. by move=> H; exact: (grows_comp (grows_comp (grows_affine W b) (transformer_grows H)) (grows_affine V c)). Qed.
(* So no Transformer, with any affine read-in and read-out, is Square or Multiply at any row. *)
Theorem transformer_is_not_square (F : 'M[R]_(N, k) -> 'M[R]_(N, k)) n i o :
  transformer F -> ~ (forall u : 'M[R]_(N, d), (F (u *m W + b) *m V + c) n o = u n i ^+ 2).
Proof. by move=> H; exact: (not_square (n := n) (transformer_model_grows H)). Qed.
Theorem transformer_is_not_multiply (F : 'M[R]_(N, k) -> 'M[R]_(N, k)) n i j o :
  transformer F -> ~ (forall u : 'M[R]_(N, d), (F (u *m W + b) *m V + c) n o = u n i * u n j).
Proof. by move=> H; exact: (not_multiply (n := n) (transformer_model_grows H)). Qed.
Theorem transformer_is_not_gradient_step (F : 'M[R]_(N, k) -> 'M[R]_(N, k)) n o s P D enc :
  transformer F -> s != 0 -> (forall t, 1 <= t -> within (enc t) t) ->
  ~ (forall t, (F (enc t *m W + b) *m V + c) n o =
               gd (line_a D t) (fun=> 0) s P.+1 (t *: delta_mx 0 0) 0 0).
Proof. by move=> H s0 He; exact: (not_gradient_step (n := n) s0 (transformer_model_grows H) He). Qed.
End Model.

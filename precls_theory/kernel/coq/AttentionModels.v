(* The forms of gradient descent in linear attention as updates of named channels, for every N, D and k: what each of them
   computes, by the theorems of LinearAttention, Ternary and CausalAttention. *)
From Coq Require Import QArith ZArith.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg zmodp matrix.
From Precls Require Import Scalars Network NormalForm Descent Families Layouts.
From Precls Require LinearAttention Ternary CausalAttention.
From Precls Require Import Attention.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Close Scope Q_scope.
Local Open Scope ring_scope.

(* ---- sums of channels, and scores ---- *)
Definition var (c : chan) : lin := [:: (q1, Some c)].
Definition minus_one : lin := [:: (Qopp q1, None)].
Definition scaled (k : Q) (l : lin) : lin := [seq (Qmult k t.1, t.2) | t <- l].
Definition added (l l' : lin) : lin := l ++ l'.
Definition dot (h : nat) (Q K : nat -> lin) : seq (lin * lin) := [seq (Q j, K j) | j <- iota 0 h].
Definition each (h : nat) (F : nat -> attended) : seq attended := [seq F j | j <- iota 0 h].
Arguments var : simpl never.
Arguments minus_one : simpl never.
Arguments scaled : simpl never.
Arguments added : simpl never.
Arguments dot : simpl never.
Arguments each : simpl never.
Section Sums.
Variables (R : comRingType) (phi : scalars R).
Implicit Types (v : named R).
Notation lin_at := (eval_lin phi).
Lemma at_var v n c : lin_at v n (var c) = v n c.
Proof. by rewrite /eval_lin big_seq1 weight1 mul1r. Qed.
Lemma at_minus_one v n : lin_at v n minus_one = - 1.
Proof. by rewrite /eval_lin big_seq1 /= mulr1 weightN weight1. Qed.
Lemma at_scaled v n k l : lin_at v n (scaled k l) = phi k * lin_at v n l.
Proof. by rewrite /eval_lin big_map mulr_sumr; apply: eq_bigr => t _; rewrite weightM mulrA. Qed.
Lemma at_added v n l l' : lin_at v n (added l l') = lin_at v n l + lin_at v n l'.
Proof. exact: big_cat. Qed.
Lemma at_nil v n : lin_at v n [::] = 0.
Proof. exact: big_nil. Qed.
Lemma sum_iota (V : zmodType) h (F : nat -> V) : \sum_(j <- iota 0 h) F j = \sum_(j < h) F j.
Proof. by rewrite -(big_mkord xpredT F) /index_iota subn0. Qed.
Lemma sum_dot v n m h Q K :
  \sum_(p <- dot h Q K) lin_at v n p.1 * lin_at v m p.2 = \sum_(j < h) lin_at v n (Q j) * lin_at v m (K j).
Proof. by rewrite big_map (sum_iota h (fun j => lin_at v n (Q j) * lin_at v m (K j))). Qed.
Lemma sum_each h G (F : attended -> R) : \sum_(p <- each h G) F p = \sum_(j < h) F (G j).
Proof. by rewrite big_map (sum_iota h (fun j => F (G j))). Qed.
End Sums.
Definition at_lin := (at_var, at_minus_one, at_scaled, at_added, at_nil).

(* ---- one step a layer: query (x, -1), keys (a, b), values -s a ---- *)
Definition step_update (D : nat) (s : Q) (f : family) : update := fun c =>
  let: (g, i, _) := c in
  if g == f then [:: ((minus_one, var (ch Fb 0)) :: dot D (fun j => var (ch f j)) (fun j => var (ch Fa j)),
                      scaled (Qopp s) (var (ch Fa i)))]
  else [::].
Section Step.
Variables (R : comRingType) (phi : scalars R) (md : mask) (N D : nat) (s : Q).
Implicit Types (v : named R).
Lemma step_updateE v f : vec D (eval_update phi md (N + 1) (step_update D s f) v) N f =
  LinearAttention.attention_step N (fun m => vec D v m Fa) (fun m => v m (ch Fb 0)) (phi s) (sees md N) (vec D v N f).
Proof.
apply: vectorP => i; rewrite mxE /eval_update /= eqxx big_seq1 addn1 /LinearAttention.attention_step !mxE summxE.
congr (_ + _); apply: eq_bigr => m _; rewrite big_cons /= !at_lin !mxE sum_dot weightN addrC.
congr ((_ + _) * _); apply: eq_bigr => j _; by rewrite !at_lin !mxE mulrC.
Qed.
End Step.

(* ---- the causal form ---- *)
Definition query := ch Fq 0.
Definition gather_update (D : nat) (s : Q) : update := fun c =>
  match c with
  | (Fx, i, _) => [:: ((scaled (Qopp q1) (var query), var (ch Fb 0)) :: dot D (fun j => var (ch Fx j)) (fun j => var (ch Fa j)),
                       scaled (Qopp s) (var (ch Fa i)))]
  | (FP, i, j) => [:: ([:: (var query, var (ch Fa i))], scaled (Qopp s) (var (ch Fa j)))]
  | (Fc, i, _) => [:: ([:: (var query, var (ch Fb 0))], scaled s (var (ch Fa i)))]
  | _ => [::]
  end.
Definition whole (i j : nat) : lin := added (var (FP, i, j)) (if i == j then var query else [::]).
Definition squared (D i k : nat) : seq (lin * lin) := dot D (fun l => whole i l) (fun l => whole l k).
Definition triple_update (D : nat) (d : CausalAttention.digit) : update := fun c =>
  match c with
  | (Fx, i, _) =>
      match d with
      | CausalAttention.Zero => [::]
      | CausalAttention.First =>
          ([:: (var query, var query)], added (var (ch Fc i)) (scaled (Qopp q1) (var (ch Fx i)))) ::
          each D (fun j => ([:: (whole i j, var query)], var (ch Fx j)))
      | CausalAttention.Second =>
          ([:: (var query, var query)], added (var (ch Fc i)) (scaled (Qopp q1) (var (ch Fx i)))) ::
          each D (fun k => (squared D i k, var (ch Fx k))) ++ each D (fun j => ([:: (whole i j, var query)], var (ch Fc j)))
      end
  | (FP, i, j) => ([:: (var query, var query)], scaled (Qopp q1) (whole i j)) ::
                  each D (fun k => (squared D i k, whole k j))
  | (Fc, i, _) => each D (fun k => (squared D i k, var (ch Fc k))) ++
                  each D (fun j => ([:: (whole i j, var query)], var (ch Fc j)))
  | _ => [::]
  end.
Arguments whole : simpl never.
Arguments squared : simpl never.
Section Causal.
Variables (R : comRingType) (phi : scalars R) (N D : nat).
Implicit Types (v : named R).
Notation run S v := (eval_update phi CausalMask (N + 1) S v).
Definition row_of v n : CausalAttention.channels R D := CausalAttention.Channels
  (vec D v n Fa) (v n (ch Fb 0)) (vec D v n Fx) (v n query) (full D v n FP) (vec D v n Fc).
Notation W v n := (CausalAttention.whole (row_of v n)).
Lemma seen_rows (V : zmodType) n (F : nat -> V) : (n <= N)%N -> \sum_(m < N + 1 | sees CausalMask n m) F m = \sum_(m < n.+1) F m.
Proof. by move=> nN; rewrite (big_ord_widen (N + 1) F) ?addn1. Qed.
Lemma attendedE v n p l : (n <= N)%N -> eval_attended phi CausalMask (N + 1) v n (p, l) =
  \sum_(m < n.+1) (\sum_(e <- p) eval_lin phi v n e.1 * eval_lin phi v m e.2) * eval_lin phi v m l.
Proof.
exact: (seen_rows (fun m => (\sum_(e <- p) eval_lin phi v n e.1 * eval_lin phi v m e.2) * eval_lin phi v m l)).
Qed.
Lemma at_whole v n (i j : 'I_D) : eval_lin phi v n (whole i j) = W v n i j.
Proof. by rewrite /whole at_added at_var !mxE -val_eqE /=; case: ifP => _; rewrite ?at_lin ?mulr1 ?mulr0. Qed.
Lemma at_squared v n m (i k : 'I_D) :
  \sum_(e <- squared D i k) eval_lin phi v n e.1 * eval_lin phi v m e.2 = (W v n *m W v m) i k.
Proof. by rewrite sum_dot mxE; apply: eq_bigr => l _; rewrite !at_whole. Qed.
Lemma each_squared v n (i : 'I_D) (F : nat -> lin) : (n <= N)%N ->
  \sum_(h <- each D (fun k => (squared D i k, F k))) eval_attended phi CausalMask (N + 1) v n h =
  \sum_(m < n.+1) \sum_(k < D) (W v n *m W v m) i k * eval_lin phi v m (F k).
Proof.
move=> nN; rewrite sum_each [RHS]exchange_big; apply: eq_bigr => k _; rewrite attendedE //.
by apply: eq_bigr => m _; rewrite at_squared.
Qed.
Lemma each_whole v n (i : 'I_D) (F : nat -> lin) : (n <= N)%N ->
  \sum_(h <- each D (fun j => ([:: (whole i j, var query)], F j))) eval_attended phi CausalMask (N + 1) v n h =
  \sum_(m < n.+1) v m query * \sum_(j < D) W v n i j * eval_lin phi v m (F j).
Proof.
move=> nN; rewrite sum_each; under [RHS]eq_bigr do rewrite mulr_sumr.
rewrite [RHS]exchange_big; apply: eq_bigr => k _; rewrite attendedE //.
by apply: eq_bigr => m _; rewrite big_seq1 /= at_whole at_lin mulrAC mulrC.
Qed.
Lemma one_score v n (p q l : lin) : (n <= N)%N -> eval_attended phi CausalMask (N + 1) v n ([:: (p, q)], l) =
  \sum_(m < n.+1) eval_lin phi v n p * eval_lin phi v m q * eval_lin phi v m l.
Proof. by move=> nN; rewrite attendedE //; apply: eq_bigr => m _; rewrite big_seq1. Qed.

Lemma gather_updateE s v n : (n <= N)%N ->
  row_of (run (gather_update D s) v) n = CausalAttention.gather (phi s) (row_of v) n.
Proof.
move=> nN; rewrite /row_of /CausalAttention.gather /=; congr CausalAttention.Channels.
- by apply: vectorP => i; rewrite !mxE /eval_update /= big_nil addr0.
- by rewrite /eval_update /= big_nil addr0.
- apply: vectorP => i; rewrite !mxE /eval_update /= big_seq1 attendedE // summxE; congr (_ + _); apply: eq_bigr => m _.
  rewrite big_cons /= !at_lin !mxE sum_dot !weightN weight1 mulN1r mulNr addrC; congr ((_ - _) * _).
  by apply: eq_bigr => j _; rewrite !at_lin !mxE.
- by rewrite /eval_update /= big_nil addr0.
- apply/matrixP => i j; rewrite !mxE /eval_update /= big_seq1 one_score // summxE; congr (_ + _); apply: eq_bigr => m _.
  by rewrite !at_lin !mxE weightN -mulrA.
- apply: vectorP => i; rewrite !mxE /eval_update /= big_seq1 one_score // summxE; congr (_ + _); apply: eq_bigr => m _.
  by rewrite !at_lin !mxE.
Qed.
Lemma triple_updateE d v n : (n <= N)%N ->
  row_of (run (triple_update D d) v) n = CausalAttention.triple d (row_of v) n.
Proof.
move=> nN; rewrite [LHS]/row_of /CausalAttention.triple; congr CausalAttention.Channels => /=.
- by apply: vectorP => i; rewrite !mxE /eval_update /= big_nil addr0.
- by rewrite /eval_update /= big_nil addr0.
- apply: vectorP => i; case: d; rewrite [LHS]mxE /eval_update /=.
  + by rewrite big_nil !mxE.
  + rewrite big_cons one_score // each_whole // [RHS]addmE summxE vecE; congr (_ + _).
    rewrite -big_split; apply: eq_bigr => m _ /=; rewrite !at_lin weightN weight1 mulN1r addrC.
    move: (W v n) => A; rewrite !entryE !vecE mulmE; congr (_ * _ + _).
    by apply: eq_bigr => j _; rewrite at_lin vecE.
  + rewrite big_cons big_cat one_score // each_squared // each_whole // [RHS]addmE summxE vecE; congr (_ + _).
    rewrite -!big_split; apply: eq_bigr => m _ /=; rewrite !at_lin weightN weight1 mulN1r addrC.
    move: (W v n) (W v m) => A B; rewrite !entryE !vecE [in RHS]mulmE [in RHS](mulmE A); congr (_ + _ * _ + _).
      by apply: eq_bigr => k _; rewrite at_lin vecE.
    by apply: eq_bigr => k _; rewrite at_lin vecE.
- by rewrite /eval_update /= big_nil addr0.
- apply/matrixP => i j; rewrite [LHS]mxE /eval_update /= big_cons one_score // each_squared // [RHS]addmE summxE.
  rewrite [full _ _ _ _ i j]mxE; congr (_ + _); rewrite -big_split; apply: eq_bigr => m _ /=.
  rewrite at_scaled at_whole !at_var weightN weight1 mulN1r mulrN addrC.
  rewrite (eq_bigr (fun k => (W v n *m W v m) i k * W v m k j)) => [|k _]; last by rewrite at_whole.
  by move: (W v n) (W v m) => A B; rewrite !entryE [in RHS]mulmE.
- apply: vectorP => i; rewrite [LHS]mxE /eval_update /= big_cat each_squared // each_whole // [RHS]addmE summxE vecE.
  congr (_ + _); rewrite -big_split; apply: eq_bigr => m _ /=.
  move: (W v n) (W v m) => A B; rewrite !entryE [in RHS]mulmE [in RHS](mulmE A); congr (_ + _ * _).
    by apply: eq_bigr => k _; rewrite at_lin vecE.
  by apply: eq_bigr => k _; rewrite at_lin vecE.
Qed.
End Causal.

(* ---- the ternary form ---- *)
(* Column j of [a, b]. *)
Definition base (D j : nat) : lin := var (if (j < D)%N then ch Fa j else ch Fb 0).
Section TernaryUpdate.
Variables (D : nat) (s c r third : Q).
Definition W_of j : lin := added (base D j) (var (ch FW j)).
Definition S_of j : lin := added (scaled c (added (var (ch Fv j)) (scaled half (base D j)))) (scaled half (W_of j)).
Definition Sd_of j : lin := added (S_of j) (scaled (Qopp q1) (W_of j)).
Definition query_of j : lin := if (j < D)%N then var (ch Fx j) else minus_one.
Definition from_query (key : nat -> lin) (value : lin) : attended := (dot (D + 1) query_of key, scaled (Qopp s) value).
(* Scores in two parts: A with the first key, W of A with the second. *)
Definition scored (first second : nat -> lin) (value : lin) : seq attended :=
  [:: (dot D (base D) first, value); (dot D W_of second, value)].
Definition rate : Q := Qmult s (Qmult r third).
Definition ternary_update (m : Ternary.advance) : update := fun o =>
  match o with
  | (Fx, i, _) =>
      match m with
      | Ternary.None_ => [::]
      | Ternary.One => [:: from_query (base D) (Sd_of i)]
      | Ternary.Two => [:: from_query (fun j => added (base D j) (W_of j)) (Sd_of i)]
      | Ternary.TwoAndOne => [:: from_query (base D) (Sd_of i); from_query W_of (S_of i)]
      end
  | (FW, i, _) => scored Sd_of S_of (scaled (Qopp s) (W_of i))
  | (Fv, i, _) => scored Sd_of S_of (scaled (Qmult rate half) (W_of i)) ++
                  scored (fun j => added (Sd_of j) (Sd_of j)) S_of (scaled (Qopp rate) (S_of i))
  | _ => [::]
  end.
End TernaryUpdate.
Arguments base : simpl never.
Arguments W_of : simpl never.
Arguments S_of : simpl never.
Arguments Sd_of : simpl never.
Arguments query_of : simpl never.
Section TernaryRows.
Variables (R : comRingType) (phi : scalars R) (N D : nat).
Implicit Types (v : named R).
Notation run S v := (eval_update phi Full (N + 1) S v).
(* All rows of some sums of channels. *)
Definition rows_as v k (F : nat -> lin) : 'M[R]_(N + 1, k) := \matrix_(n, j) eval_lin phi v n (F j).
Lemma rows_asE v k F (n : 'I_(N + 1)) (j : 'I_k) : rows_as v k F n j = eval_lin phi v n (F j).
Proof. exact: mxE. Qed.
Lemma rows_added v k F G : rows_as v k (fun j => added (F j) (G j)) = rows_as v k F + rows_as v k G.
Proof. by apply/matrixP => n j; rewrite addmE !mxE at_added. Qed.
Lemma rows_scaled v k q F : rows_as v k (fun j => scaled q (F j)) = phi q *: rows_as v k F.
Proof. by apply/matrixP => n j; rewrite scalemE !mxE at_scaled. Qed.
Lemma rows_of_a v F : rows_as v (D + 1) F *m Ternary.of_a R D = rows_as v D F.
Proof.
rewrite -[X in X *m _]hsubmxK mul_row_col mulmx1 mulmx0 addr0; by apply/matrixP => n j; rewrite !mxE.
Qed.
Definition state v : Ternary.channels R N D :=
  Ternary.Channels (rows_as v D (fun i => var (ch Fx i))) (rows_as v (D + 1) (fun i => var (ch FW i)))
                   (rows_as v (D + 1) (fun i => var (ch Fv i))).
Definition base_of v := rows_as v (D + 1) (base D).
Lemma attendE v h Q K (l : nat -> lin) k (n : 'I_(N + 1)) (o : 'I_k) :
  eval_attended phi Full (N + 1) v n (dot h Q K, l o) =
  Ternary.attend (rows_as v h Q) (rows_as v h K) (rows_as v k l) n o.
Proof.
rewrite /eval_attended /Ternary.attend mulmE; apply: eq_bigr => m _; rewrite sum_dot mulmE [rows_as _ _ l _ _]mxE; congr (_ * _).
by apply: eq_bigr => j _; rewrite !mxE.
Qed.
Lemma attend_row h h' k (Q : 'M[R]_(N + 1, h)) (Q' : 'M_(N + 1, h')) K K' (V : 'M_(N + 1, k)) :
  Ternary.attend (row_mx Q Q') (row_mx K K') V = Ternary.attend Q K V + Ternary.attend Q' K' V.
Proof. by rewrite /Ternary.attend tr_row_mx mul_row_col mulmxDl. Qed.
Lemma query_rows v : rows_as v (D + 1) (query_of D) = row_mx (rows_as v D (fun i => var (ch Fx i))) (const_mx (- 1)).
Proof.
apply/matrixP => n j; rewrite !mxE; case: splitP => i E; rewrite /query_of E mxE; first by rewrite ltn_ord.
by rewrite ltnNge leq_addr at_minus_one.
Qed.

Section Block.
Variables (A : 'M[R]_(N, D)) (b : 'cV[R]_N) (s c r third : Q) (v : named R).
Hypothesis H : base_of v = Ternary.base A b.
Notation W := (rows_as v (D + 1) (W_of D)).
Notation S := (rows_as v (D + 1) (S_of D c)).
Notation Sd := (rows_as v (D + 1) (Sd_of D c)).
Notation u := (state v).
Notation neg x := (Qopp x).
Lemma W_rows : W = Ternary.base A b + Ternary.power_ u.
Proof. by rewrite -H -rows_added. Qed.
Lemma S_rows : S = phi c *: (Ternary.sum_ u + phi half *: Ternary.base A b) + phi half *: W.
Proof. by rewrite -H -!rows_scaled -!rows_added -rows_scaled -rows_added. Qed.
Lemma Sd_rows : Sd = S - W.
Proof. by rewrite -scaleN1r -(weight1 phi) -weightN -rows_scaled -rows_added. Qed.
Lemma from_queryE n i key l : eval_attended phi Full (N + 1) v (nat_of_ord n) (from_query D s key (l (nat_of_ord i))) =
  Ternary.attend (row_mx (Ternary.x u) (const_mx (- 1))) (rows_as v (D + 1) key)
                 (- phi s *: (rows_as v (D + 1) l *m Ternary.of_a R D)) n i.
Proof.
by rewrite -query_rows rows_of_a -weightN -rows_scaled -(attendE _ _ _ _ (fun j => scaled (neg s) (l j))).
Qed.
Lemma scoredE n k first second q l (i : 'I_k) :
  \sum_(h <- scored D first second (scaled q (l (nat_of_ord i)))) eval_attended phi Full (N + 1) v (nat_of_ord n) h =
  Ternary.attend (row_mx (Ternary.base A b *m Ternary.of_a R D) (W *m Ternary.of_a R D))
    (row_mx (rows_as v (D + 1) first *m Ternary.of_a R D) (rows_as v (D + 1) second *m Ternary.of_a R D))
    (phi q *: rows_as v k l) n i.
Proof.
rewrite /scored big_cons big_seq1 -H attend_row addmE !rows_of_a -rows_scaled.
by rewrite -!(attendE _ _ _ _ (fun j => scaled q (l j))).
Qed.
Lemma ternary_updateE m : state (run (ternary_update D s c r third m) v) =
  Ternary.block A b (phi s) (phi half) (phi third) (phi c) (phi r) m u.
Proof.
rewrite /Ternary.block -W_rows -S_rows -Sd_rows /state; congr Ternary.Channels.
- apply/matrixP => n i; rewrite addmE !rows_asE !at_var /eval_update; congr (_ + _).
  case: m; rewrite /= ?big_cons big_nil ?addr0; first by rewrite [RHS]mxE.
  + by rewrite from_queryE -/(base_of v) H.
  + by rewrite from_queryE rows_added -/(base_of v) H.
  + by rewrite addmE !from_queryE -/(base_of v) H.
- apply/matrixP => n i; rewrite addmE !rows_asE !at_var /eval_update; congr (_ + _).
  by rewrite scoredE weightN.
- apply/matrixP => n i; rewrite addmE addmE !rows_asE !at_var /eval_update -addrA; congr (_ + _).
  rewrite big_cat !scoredE rows_added mulmxDl weightN /rate !weightM; by [].
Qed.
Lemma base_kept m : base_of (run (ternary_update D s c r third m) v) = Ternary.base A b.
Proof.
rewrite -H; apply/matrixP => n j; rewrite !mxE /base; case: ifP => _; by rewrite !at_var /eval_update /= big_nil addr0.
Qed.
End Block.
End TernaryRows.

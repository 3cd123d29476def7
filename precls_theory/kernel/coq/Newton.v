(* Newton's iteration as networks in normal form: direct, residual and doubling form, and refinement with the residual
   formed from the data rows. Causal networks answer at every row for the rows so far, circular ones for all rows. *)
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
Variables (D : nat) (alpha : Q).
Notation matvec k F M f i := (sum D (fun j => product k F (sym M i j) (ch f j))).
Notation minus1 := (Qopp q1).
Notation identity i j k := (if i == j then constant k else [::]).

Definition newton_outer : spec := fun c =>
  match c with
  | (Fa, i, _) => linear q1 (ch Fa i)
  | (Fb, _, _) => linear q1 (ch Fb 0)
  | (Faa, i, j) => product q1 delta (ch Fa i) (ch Fa j)
  | (Fba, i, _) => product q1 delta (ch Fb 0) (ch Fa i)
  | _ => [::]
  end.
(* Residual and doubling form: R = I - alpha G, M = alpha I, y = alpha c. *)
Definition newton_first : spec := fun c =>
  match c with
  | (Fa, i, _) => linear q1 (ch Fa i)
  | (Fb, _, _) => linear q1 (ch Fb 0)
  | (Fc, i, _) => convolved q1 prefix (ch Fba i)
  | (FR, i, j) => convolved (Qopp alpha) prefix (Faa, i, j) ++ identity i j q1
  | (FM, i, j) => identity i j alpha
  | (Fy, i, _) => convolved alpha prefix (ch Fba i)
  | _ => [::]
  end.
Definition newton_next : spec := fun c =>
  match c with
  | (Fa, i, _) => linear q1 (ch Fa i)
  | (Fb, _, _) => linear q1 (ch Fb 0)
  | (Fc, i, _) => linear q1 (ch Fc i)
  | (FR, i, j) => sum D (fun k => product q1 delta (sym FR i k) (sym FR k j))
  | (FM, i, j) => linear q1 (FM, i, j) ++ sum D (fun k => product q1 delta (sym FR i k) (FM, k, j))
  | (Fy, i, _) => linear q1 (ch Fy i) ++ matvec q1 delta FR Fy i
  | _ => [::]
  end.
(* x = M c *)
Definition apply_inverse : spec := fun c =>
  match c with
  | (Fa, i, _) => linear q1 (ch Fa i)
  | (Fb, _, _) => linear q1 (ch Fb 0)
  | (FM, i, j) => linear q1 (FM, i, j)
  | (Fx, i, _) => sum D (fun k => product q1 delta (FM, i, k) (ch Fc k))
  | _ => [::]
  end.
(* Refinement, three layers: r_n = b_n - a_n . x,  r_n a_n,  x + M sum r_n a_n. [source] holds x before. *)
Definition refine_residual (source : family) : spec := fun c =>
  match c with
  | (Fa, i, _) => linear q1 (ch Fa i)
  | (Fb, _, _) => linear q1 (ch Fb 0)
  | (FM, i, j) => linear q1 (FM, i, j)
  | (Fx, i, _) => linear q1 (ch source i)
  | (Fr, _, _) => linear q1 (ch Fb 0) ++ sum D (fun i => product minus1 delta (ch Fa i) (ch source i))
  | _ => [::]
  end.
Definition refine_outer : spec := fun c =>
  match c with
  | (Fa, i, _) => linear q1 (ch Fa i)
  | (Fb, _, _) => linear q1 (ch Fb 0)
  | (FM, i, j) => linear q1 (FM, i, j)
  | (Fx, i, _) => linear q1 (ch Fx i)
  | (Fra, i, _) => product q1 delta (ch Fr 0) (ch Fa i)
  | _ => [::]
  end.
Definition refine_apply : spec := fun c =>
  match c with
  | (Fa, i, _) => linear q1 (ch Fa i)
  | (Fb, _, _) => linear q1 (ch Fb 0)
  | (FM, i, j) => linear q1 (FM, i, j)
  | (Fx, i, _) => linear q1 (ch Fx i) ++ sum D (fun j => product q1 prefix (ch Fra j) (FM, i, j))
  | _ => [::]
  end.
(* Direct form: Y = G M, then M <- 2M - M Y; M_1 = 2 alpha I - alpha^2 G comes free. *)
Definition direct_first : spec := fun c =>
  match c with
  | (FG, i, j) => convolved q1 prefix (Faa, i, j)
  | (Fc, i, _) => convolved q1 prefix (ch Fba i)
  | (FM, i, j) => convolved (Qopp (Qmult alpha alpha)) prefix (sym Faa i j) ++ identity i j (Qmult q2 alpha)
  | _ => [::]
  end.
Definition direct_multiply : spec := fun c =>
  match c with
  | (FG, i, j) => linear q1 (FG, i, j)
  | (Fc, i, _) => linear q1 (ch Fc i)
  | (FM, i, j) => linear q1 (FM, i, j)
  | (FY, i, j) => sum D (fun k => product q1 delta (sym FG i k) (FM, k, j))
  | _ => [::]
  end.
Definition direct_update : spec := fun c =>
  match c with
  | (FG, i, j) => linear q1 (FG, i, j)
  | (Fc, i, _) => linear q1 (ch Fc i)
  | (FM, i, j) => linear q2 (FM, i, j) ++ sum D (fun k => product minus1 delta (FM, i, k) (FY, k, j))
  | _ => [::]
  end.
Definition moment_only : spec := fun c =>
  match c with (Fx, i, _) => convolved alpha prefix (ch Fba i) | _ => [::] end.

Fixpoint repeat T (k : nat) (s : seq T) : seq T := if k is k.+1 then s ++ repeat k s else [::].
Definition newton_core t : seq spec := newton_outer :: newton_first :: nseq t newton_next.
Definition refinements source r : seq spec :=
  if r is r.+1 then [:: refine_residual source; refine_outer; refine_apply] ++
                    repeat r [:: refine_residual Fx; refine_outer; refine_apply] else [::].
(* The doubling form reads y (x after a refinement), the residual form x = M c. *)
Definition newton_doubling_layers t r := newton_core t ++ refinements Fy r.
Definition newton_residual_layers t r := newton_core t ++ apply_inverse :: refinements Fx r.
Definition newton_direct_layers t :=
  if t is t.+1 then newton_outer :: direct_first :: repeat t [:: direct_multiply; direct_update] ++ [:: apply_inverse]
  else [:: newton_outer; moment_only].

Variables (R : comRingType) (phi : scalars R) (md : mode) (N : nat) (seen : nat -> nat).
Hypothesis sums : forall w n, (n < N)%N -> convolve phi md N prefix w n = \sum_(m < seen n) w m.
Hypothesis seen_rows : forall n, (n < N)%N -> (seen n <= N)%N.
Variables (a : nat -> 'cV[R]_D) (b : nat -> R).
Notation eval_spec := (eval_spec phi md N).
Notation vec v n f := (vec D v n f).
Notation mat v n f := (mat D v n f).
Notation full v n f := (full D v n f).
Implicit Types v : named R.

Definition data v := forall n, (n < N)%N -> vec v n Fa = a n /\ v n (ch Fb 0) = b n.
(* A layer that passes a and b on keeps them. *)
Lemma data_kept S v : data v -> (forall i, S (ch Fa i) = linear q1 (ch Fa i)) -> S (ch Fb 0) = linear q1 (ch Fb 0) ->
  data (eval_spec S v).
Proof.
move=> H Sa Sb n nN; have [Ha Hb] := H n nN; rewrite /NormalForm.eval_spec Sb eval_linear // weight1 mul1r; split=> //.
by apply: vectorP => i; rewrite vecE Sa eval_linear // weight1 mul1r -vecE Ha.
Qed.
Definition outers v := forall n, (n < N)%N -> mat v n Faa = a n *m (a n)^T /\ vec v n Fba = b n *: a n.
Lemma newton_outer_correct v : data v -> outers (eval_spec newton_outer v).
Proof.
move=> H n nN; have [Ha Hb] := H n nN; split.
- apply: mat_upper => [|i j _]; first exact: outer_sym.
  rewrite [LHS]eval_delta_product // -!vecE Ha weight1 mul1r mulmE big_ord1; congr (_ * _).
  by rewrite mxE.
- by apply: vectorP => i; rewrite vecE [LHS]eval_delta_product // Hb -vecE Ha weight1 mul1r scalemE.
Qed.
Notation G n := (gram a (seen n)).
Notation c n := (moment a b (seen n)).
Lemma outers_gram v n : outers v -> (n < N)%N -> filtered_mat phi md N D prefix v n Faa = G n.
Proof.
move=> H nN; rewrite (filtered_mat_sum _ sums) //; apply: eq_bigr => m _.
by case: (H m (leq_trans (ltn_ord m) (seen_rows nN))).
Qed.
Lemma outers_moment v n : outers v -> (n < N)%N -> filtered_vec phi md N D prefix v n Fba = c n.
Proof.
move=> H nN; rewrite (filtered_vec_sum _ sums) //; apply: eq_bigr => m _.
by case: (H m (leq_trans (ltn_ord m) (seen_rows nN))).
Qed.
Lemma eval_identity v n (i j : 'I_D) k : (n < N)%N ->
  eval_terms phi md N v n (identity (nat_of_ord i) (nat_of_ord j) k) = ((phi k)%:M : 'M[R]_D) i j.
Proof.
move=> nN; rewrite mxE -(inj_eq val_inj) /=; case: eqP => _; last by rewrite eval_nil mulr0n.
by rewrite eval_constant // mulr1n.
Qed.
Lemma fullE v n f (i j : 'I_D) : v n (f, nat_of_ord i, nat_of_ord j) = full v n f i j. Proof. by rewrite mxE. Qed.

(* ---- the pair (R, M), and y = M c ---- *)
Definition pair_at t n := iter t (@newton_pair R D) (newton_start (G n) (phi alpha)).
Definition newton_holds t v := forall n, (n < N)%N ->
  [/\ vec v n Fc = c n, mat v n FR = (pair_at t n).1, full v n FM = (pair_at t n).2
    & vec v n Fy = (pair_at t n).2 *m c n].
Lemma newton_first_correct v : outers v -> newton_holds 0 (eval_spec newton_first v).
Proof.
move=> H n nN; split=> /=.
- by apply: vectorP => i; rewrite vecE [LHS]eval_convolved weight1 mul1r -filtered_vecE outers_moment.
- apply: mat_upper => [|i j le]; first by rewrite linearB linearZ /= trmx1 gram_sym.
  rewrite [LHS]eval_cat eval_convolved filtered_upper // outers_gram // weightN mulNr !entryE addrC; congr (_ - _).
  by rewrite eval_identity // weight1.
- by apply/matrixP => i j; rewrite mxE [LHS]eval_identity.
- by apply: vectorP => i; rewrite vecE [LHS]eval_convolved -filtered_vecE outers_moment // mul_scalar_mx scalemE.
Qed.
Lemma newton_next_correct t v : newton_holds t v -> newton_holds t.+1 (eval_spec newton_next v).
Proof.
move=> H n nN; have := H n nN; rewrite /pair_at iterS -!/(pair_at t n).
case: (pair_at t n) => [P M] [Hc HP HM Hy]; rewrite /newton_pair /= in HP HM Hy *.
have sP: P^T = P by rewrite -HP mat_sym.
split.
- by apply: vectorP => i; rewrite vecE [LHS]eval_linear // weight1 mul1r -vecE Hc.
- apply: mat_upper => [|i j le]; first by rewrite trmx_mul sP.
  rewrite [LHS]eval_sum mulmE; apply: eq_bigr => k _.
  by rewrite eval_delta_product // weight1 mul1r -HP !mxE.
- apply/matrixP => i j; rewrite mxE [LHS]eval_cat eval_linear // weight1 mul1r fullE HM addmE; congr (_ + _).
  rewrite eval_sum mulmE; apply: eq_bigr => k _.
  by rewrite eval_delta_product // weight1 mul1r fullE HM -HP !mxE.
- apply: vectorP => i; rewrite vecE [LHS]eval_cat eval_linear // weight1 mul1r -vecE eval_matvec_delta //.
  by rewrite Hy HP weight1 mul1r mulmxDl addmE mulmxA.
Qed.
Lemma newton_run t s v : data v -> newton_holds s v ->
  let w := eval_specs phi md N (nseq t newton_next) v in data w /\ newton_holds (t + s) w.
Proof.
elim: t s v => [|t IH] s v d H; first by rewrite add0n; split.
by rewrite addSnnS; apply: IH; [apply: data_kept | exact: newton_next_correct].
Qed.
Lemma newton_core_correct t v : data v ->
  let w := eval_specs phi md N (newton_core t) v in data w /\ newton_holds t w.
Proof.
move=> H.
have d1 : data (eval_spec newton_outer v) by apply: data_kept.
have d2 : data (eval_spec newton_first (eval_spec newton_outer v)) by apply: data_kept.
have [d Hw] := newton_run t d2 (newton_first_correct (newton_outer_correct H)).
by rewrite addn0 in Hw; split.
Qed.
Lemma pair_iterate t n : (pair_at t n).2 = newton_iterate (G n) (phi alpha) t.
Proof. by rewrite /pair_at newton_residual. Qed.

Definition inverse_holds (f : family) (M : nat -> 'M[R]_D) (x : nat -> 'cV[R]_D) v :=
  data v /\ forall n, (n < N)%N -> full v n FM = M n /\ vec v n f = x n.
Let M t n := newton_iterate (G n) (phi alpha) t.
Lemma newton_doubling_core t v : data v ->
  inverse_holds Fy (M t) (fun n => M t n *m c n) (eval_specs phi md N (newton_core t) v).
Proof.
move=> H; have [d Hw] := newton_core_correct t H; split=> // n nN.
by have [_ _ HM Hy] := Hw n nN; rewrite /M HM Hy pair_iterate.
Qed.
Lemma newton_residual_core t v : data v ->
  inverse_holds Fx (M t) (fun n => M t n *m c n) (eval_specs phi md N (newton_core t ++ [:: apply_inverse]) v).
Proof.
move=> H; have [d Hw] := newton_core_correct t H; rewrite /eval_specs foldl_cat /=.
split=> [|n nN]; first by apply: data_kept.
have [Hc _ HM _] := Hw n nN; rewrite /M -pair_iterate; split.
- by apply/matrixP => i j; rewrite mxE [LHS]eval_linear // weight1 mul1r fullE HM.
- apply: vectorP => i; rewrite vecE [LHS]eval_sum mulmE; apply: eq_bigr => k _.
  by rewrite eval_delta_product // weight1 mul1r fullE HM -vecE Hc.
Qed.

(* ---- refinement, where every row sees all rows ---- *)
Section Refinement.
Hypothesis sees_all : forall n, (n < N)%N -> seen n = N.
Lemma refinement_correct f (Mi : 'M[R]_D) x v : inverse_holds f (fun=> Mi) (fun=> x) v ->
  inverse_holds Fx (fun=> Mi) (fun=> refine a b N Mi x)
    (eval_specs phi md N [:: refine_residual f; refine_outer; refine_apply] v).
Proof.
move=> [d H]; rewrite /=.
set v1 := eval_spec (refine_residual f) v; set v2 := eval_spec refine_outer v1.
have d1 : data v1 by apply: data_kept.
have d2 : data v2 by apply: data_kept.
have M1 n : (n < N)%N -> full v1 n FM = Mi.
  by move=> nN; apply/matrixP => i j; rewrite mxE [LHS]eval_linear // weight1 mul1r fullE; case: (H n nN) => ->.
have x1 n : (n < N)%N -> vec v1 n Fx = x.
  by move=> nN; apply: vectorP => i; rewrite vecE [LHS]eval_linear // weight1 mul1r -vecE; case: (H n nN) => _ ->.
have r1 n : (n < N)%N -> v1 n (ch Fr 0) = b n - ((a n)^T *m x) 0 0.
  move=> nN; rewrite [LHS]eval_cat eval_linear // weight1 mul1r eval_dot // weightN weight1 mulN1r.
  by have [-> ->] := d n nN; case: (H n nN) => _ ->.
have M2 n : (n < N)%N -> full v2 n FM = Mi.
  by move=> nN; apply/matrixP => i j; rewrite mxE [LHS]eval_linear // weight1 mul1r fullE M1.
have x2 n : (n < N)%N -> vec v2 n Fx = x.
  by move=> nN; apply: vectorP => i; rewrite vecE [LHS]eval_linear // weight1 mul1r -vecE x1.
have ra n : (n < N)%N -> vec v2 n Fra = (b n - ((a n)^T *m x) 0 0) *: a n.
  move=> nN; apply: vectorP => i; rewrite vecE [LHS]eval_delta_product // weight1 mul1r r1 // scalemE -vecE.
  by have [-> _] := d1 n nN.
split=> [|n nN]; first by apply: data_kept.
split; first by apply/matrixP => i j; rewrite mxE [LHS]eval_linear // weight1 mul1r fullE M2.
apply: vectorP => i; rewrite vecE [LHS]eval_cat eval_linear // weight1 mul1r -vecE x2 // addmE; congr (_ + _).
rewrite eval_sum mulmE; apply: eq_bigr => j _.
rewrite eval_product weight1 mul1r fullE M2 // mulrC sums // sees_all // summxE; congr (_ * _).
by apply: eq_bigr => m _; rewrite -ra // vecE.
Qed.
Lemma repeated_refinement r (Mi : 'M[R]_D) x v : inverse_holds Fx (fun=> Mi) (fun=> x) v ->
  inverse_holds Fx (fun=> Mi) (fun=> iter r (refine a b N Mi) x)
    (eval_specs phi md N (repeat r [:: refine_residual Fx; refine_outer; refine_apply]) v).
Proof.
elim: r x v => [|r IH] x v H //; rewrite iterSr [repeat _ _]/= /eval_specs -cat1s -[_ :: _ :: repeat _ _]cat1s catA.
by rewrite foldl_cat; exact: IH (refinement_correct H).
Qed.
Lemma refinements_correct f r Mi x v : inverse_holds f (fun=> Mi) (fun=> x) v ->
  inverse_holds (if r is 0 then f else Fx) (fun=> Mi) (fun=> iter r (refine a b N Mi) x)
    (eval_specs phi md N (refinements f r) v).
Proof.
case: r => [|r] // H; rewrite /refinements /eval_specs foldl_cat iterSr.
exact: repeated_refinement (refinement_correct H).
Qed.
End Refinement.

(* ---- direct form ---- *)
Definition direct_holds (Mi : nat -> 'M[R]_D) v := forall n, (n < N)%N ->
  [/\ mat v n FG = G n, vec v n Fc = c n & full v n FM = Mi n].
Lemma direct_first_correct v : outers v -> direct_holds (M 1) (eval_spec direct_first v).
Proof.
move=> H n nN; split.
- apply: mat_upper => [|i j le]; first exact: gram_sym.
  by rewrite [LHS]eval_convolved weight1 mul1r filtered_upper // outers_gram.
- by apply: vectorP => i; rewrite vecE [LHS]eval_convolved weight1 mul1r -filtered_vecE outers_moment.
- apply/matrixP => i j; rewrite mxE [LHS]eval_cat eval_convolved eval_identity // weightN !weightM weight2 mulNr.
  have -> : convolve phi md N prefix (fun m => v m (sym Faa i j)) n = G n i j by rewrite -(outers_gram H nN) mxE.
  rewrite /M /newton_iterate /= /newton mul_scalar_mx mul_mx_scalar scalerA !entryE addrC; congr (_ - _).
  by rewrite mulrDl mul1r raddfD addmE.
Qed.
Lemma direct_pair_correct Mi v : direct_holds Mi v ->
  direct_holds (fun n => newton (G n) (Mi n)) (eval_specs phi md N [:: direct_multiply; direct_update] v).
Proof.
move=> H n nN; rewrite /=; set w := eval_spec direct_multiply v; have [HG Hc HM] := H n nN.
have G1 : mat w n FG = G n.
  apply: mat_upper => [|i j le]; first exact: gram_sym.
  by rewrite [LHS]eval_linear // weight1 mul1r upperE // HG.
have c1 : vec w n Fc = c n by apply: vectorP => i; rewrite vecE [LHS]eval_linear // weight1 mul1r -vecE Hc.
have M1 : full w n FM = Mi n by apply/matrixP => i j; rewrite mxE [LHS]eval_linear // weight1 mul1r fullE HM.
have Y1 : full w n FY = G n *m Mi n.
  apply/matrixP => i j; rewrite mxE [LHS]eval_sum mulmE; apply: eq_bigr => k _.
  by rewrite eval_delta_product // weight1 mul1r fullE HM -HG !mxE.
split.
- apply: mat_upper => [|i j le]; first exact: gram_sym.
  by rewrite [LHS]eval_linear // weight1 mul1r upperE // G1.
- by apply: vectorP => i; rewrite vecE [LHS]eval_linear // weight1 mul1r -vecE c1.
- apply/matrixP => i j; rewrite mxE [LHS]eval_cat eval_linear // weight2 mulrDl mul1r fullE M1.
  rewrite -newton_direct !entryE; congr (_ + _); rewrite eval_sum mulmE -sumrN; apply: eq_bigr => k _.
  by rewrite eval_delta_product // weightN weight1 mulN1r !fullE M1 Y1.
Qed.
Lemma direct_run k Mi v n : direct_holds Mi v -> (n < N)%N ->
  vec (eval_specs phi md N (repeat k [:: direct_multiply; direct_update] ++ [:: apply_inverse]) v) n Fx =
  iter k (newton (G n)) (Mi n) *m c n.
Proof.
elim: k Mi v => [|k IH] Mi v H nN; last by rewrite iterSr -(IH _ _ (direct_pair_correct H) nN).
have [_ Hc HM] := H n nN; apply: vectorP => i; rewrite vecE [LHS]eval_sum mulmE; apply: eq_bigr => k _.
by rewrite eval_delta_product // weight1 mul1r fullE HM -vecE Hc.
Qed.
Theorem newton_direct_correct t v n : data v -> (n < N)%N ->
  vec (eval_specs phi md N (newton_direct_layers t) v) n Fx = M t n *m c n.
Proof.
move=> H nN; have Ho := newton_outer_correct H; case: t => [|t].
  apply: vectorP => i; rewrite vecE [LHS]eval_convolved -filtered_vecE outers_moment //.
  by rewrite /M /newton_iterate /= mul_scalar_mx scalemE.
by rewrite [LHS](direct_run t (direct_first_correct Ho) nN) /M /newton_iterate -iterD addn1.
Qed.
Theorem newton_residual_correct t v n : data v -> (n < N)%N ->
  vec (eval_specs phi md N (newton_residual_layers t 0) v) n Fx = M t n *m c n.
Proof. by move=> H nN; have [_ /(_ n nN)[]] := newton_residual_core t H. Qed.
Theorem newton_doubling_correct t v n : data v -> (n < N)%N ->
  vec (eval_specs phi md N (newton_doubling_layers t 0) v) n Fy = M t n *m c n.
Proof.
by move=> H nN; rewrite /newton_doubling_layers cats0; have [_ /(_ n nN)[]] := newton_doubling_core t H.
Qed.
(* Refinement: every row holds r corrections of M_t c, for the whole problem. *)
Hypothesis sees_all : forall n, (n < N)%N -> seen n = N.
Definition refined t r :=
  let Mt := newton_iterate (gram a N) (phi alpha) t in iter r (refine a b N Mt) (Mt *m moment a b N).
Lemma same_everywhere f t v : inverse_holds f (M t) (fun n => M t n *m c n) v ->
  inverse_holds f (fun=> newton_iterate (gram a N) (phi alpha) t)
    (fun=> newton_iterate (gram a N) (phi alpha) t *m moment a b N) v.
Proof. by move=> [d H]; split=> // n nN; have := H n nN; rewrite /M sees_all. Qed.
Theorem refined_doubling_correct t r v n : data v -> (n < N)%N ->
  vec (eval_specs phi md N (newton_doubling_layers t r) v) n (if r is 0 then Fy else Fx) = refined t r.
Proof.
move=> H nN; rewrite /newton_doubling_layers /eval_specs foldl_cat.
by have [_ /(_ n nN)[]] := refinements_correct sees_all r (same_everywhere (newton_doubling_core t H)).
Qed.
Theorem refined_residual_correct t r v n : data v -> (n < N)%N ->
  vec (eval_specs phi md N (newton_residual_layers t r) v) n Fx = refined t r.
Proof.
move=> H nN; rewrite /newton_residual_layers -cat1s catA /eval_specs foldl_cat.
have [_ /(_ n nN)[_]] := refinements_correct sees_all r (same_everywhere (newton_residual_core t H)).
by case: r.
Qed.
End Layers.

(* Layout S without a mask. Taken for layout A it is wrong, silently, for every N and D: the row of x_init counts as data. At
   the last row alone it is right with a filter that sums the data rows and leaves out row 0, and a shift that reads row 0: the
   gradient of least squares in two layers, and in no fewer; gradient descent in the Gram form in k + 1 layers and in the
   doubling form in m + 2, one fewer than with a mask, for every N, D and k. *)
From Coq Require Import QArith.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg poly ssrnum zmodp matrix.
From Precls Require Import Scalars Network NormalForm Descent Families Gradient Layouts Algorithms Certificate Soundness.
From Precls Require Import Literal LowerBound.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Close Scope Q_scope.
Local Open Scope ring_scope.

(* ---- taken for layout A ---- *)
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

(* ---- the layers for the last row ---- *)
Section Layers.
Variables (N D : nat).
Definition data_rows : filter := Filter (nseq N q1) q0.       (* leaves out lag N *)
Definition first_row (i : nat) : seq term := convolved q1 (shift N) (ch Fa i).
Definition last_outer : spec := outer_layer first_row.
Definition gradient_layer (k : Q) : spec := fun c =>
  match c with
  | (Fx, i, _) => matvec D k data_rows Faa Fx i ++ convolved (Qopp k) data_rows (ch Fba i)
  | _ => [::]
  end.
Definition last_gram_first (s : Q) : spec := fun c =>
  match c with
  | (FG, i, j) => convolved q1 data_rows (Faa, i, j)
  | (Fc, i, _) => convolved q1 data_rows (ch Fba i)
  | (Fx, i, _) => first_step D data_rows s i
  | _ => [::]
  end.
Definition last_gram_next (s : Q) : spec := fun c =>
  match c with
  | (FG, i, j) => linear q1 (FG, i, j)
  | (Fc, i, _) => linear q1 (ch Fc i)
  | (Fx, i, _) => linear q1 (ch Fx i) ++ matvec D (Qopp s) delta FG Fx i ++ linear s (ch Fc i)
  | _ => [::]
  end.
Definition last_gradient (k : Q) : seq spec := [:: last_outer; gradient_layer k].
Definition last_gram (s : Q) (k : nat) : seq spec := [:: last_outer; last_gram_first s] ++ nseq k.-1 (last_gram_next s).
Definition last_doubling (s : Q) (m : nat) : seq spec := doubling_layers D data_rows first_row s m.
Definition unmasked (layers : seq spec) : model :=
  Model N.+1 Causal (plain_names LayoutS D) [::] layers (iota 0 (size layers)) (vector_names D Fx).
End Layers.

(* ---- what they compute in row N ---- *)
Section Correct.
Variables (R : comRingType) (phi : scalars R) (N D : nat) (a : nat -> 'cV[R]_D) (b : nat -> R) (x0 : 'cV[R]_D).
Notation rows := (given LayoutS N a b x0).
Notation run layers := (eval_specs phi Causal N.+1 layers rows).
Lemma data_rowsE w : convolve phi Causal N.+1 (data_rows N) w N = \sum_(m < N) w m.+1.
Proof.
rewrite causal_sum // big_ord_recl subn0 /tap nth_default ?size_nseq // weight0 mul0r add0r; apply: eq_bigr => m _.
by rewrite lift0 nth_nseq ltn_subrL (leq_ltn_trans (leq0n m) (ltn_ord m)) weight1 mul1r.
Qed.
Lemma first_rowE w : convolve phi Causal N.+1 (shift N) w N = w 0%N.
Proof. by apply: shiftE => //; rewrite /= subn0. Qed.

Notation u := (run [:: last_outer N]).
Lemma last_rows : outers N.+1 (row_a LayoutS N a x0) (row_b LayoutS N b)
  (fun n => \col_i convolve phi Causal N.+1 (shift N) (fun m => rows m (ch Fa i)) n) u.
Proof.
apply: outer_layer_correct; split=> [n _|n _|n i _] //; first exact: given_a.
by rewrite eval_convolved weight1 mul1r mxE.
Qed.
(* The sum that the last row sees is G, and the row that it reads is x_init. *)
Theorem data_rows_gram : filtered_mat phi Causal N.+1 D (data_rows N) u N Faa = gram a N.
Proof.
apply/matrixP => i j; rewrite mxE data_rowsE /gram summxE; apply: eq_bigr => m _.
have [E _ _] := last_rows (ltn_ord m : m.+1 < N.+1)%N.
by have := congr1 (fun M : 'M_D => M i j) E; rewrite /= [LHS]mxE => ->; rewrite /row_a /= ltn_ord.
Qed.
Lemma last_momentE : filtered_vec phi Causal N.+1 D (data_rows N) u N Fba = moment a b N.
Proof.
apply: vectorP => i; rewrite mxE data_rowsE /moment summxE; apply: eq_bigr => m _.
have [_ E _] := last_rows (ltn_ord m : m.+1 < N.+1)%N.
by rewrite -vecE E /row_a /row_b /= ltn_ord.
Qed.
Theorem first_row_start : vec D u N Fx = x0.
Proof. by have [_ _ ->] := last_rows (ltnSn N); apply: vectorP => i; rewrite mxE first_rowE /= coordinateE. Qed.

Theorem gradient_correct k : vec D (run (last_gradient N D k)) N Fx = phi k *: gradient a b N x0.
Proof.
apply: vectorP => i; rewrite vecE [LHS]eval_cat eval_matvec eval_convolved -filtered_vecE.
by rewrite data_rows_gram last_momentE first_row_start weightN mulNr /gradient !entryE mulrBr.
Qed.
Lemma last_first_step s (i : 'I_D) :
  eval_terms phi Causal N.+1 u N (first_step D (data_rows N) s i) = gd a b (phi s) N x0 i 0.
Proof.
rewrite /first_step !eval_cat eval_linear // eval_matvec eval_convolved -filtered_vecE -vecE.
rewrite data_rows_gram last_momentE first_row_start weight1 weightN mul1r.
by rewrite /gd /gradient !entryE mulrBr opprB mulNr [- _ + _]addrC.
Qed.

(* Gram form *)
Definition last_state v x := [/\ mat D v N FG = gram a N, vec D v N Fc = moment a b N & vec D v N Fx = x].
Lemma last_gram_first_correct s : last_state (run [:: last_outer N; last_gram_first N D s]) (gd a b (phi s) N x0).
Proof.
split.
- apply: mat_upper => [|i j le]; first exact: gram_sym.
  by rewrite [LHS]eval_convolved weight1 mul1r filtered_upper // data_rows_gram.
- by apply: vectorP => i; rewrite vecE [LHS]eval_convolved weight1 mul1r -filtered_vecE last_momentE.
- by apply: vectorP => i; rewrite vecE [LHS]last_first_step.
Qed.
Lemma last_gram_next_correct s v x : last_state v x ->
  last_state (eval_spec phi Causal N.+1 (last_gram_next D s) v) (gd a b (phi s) N x).
Proof.
move=> [HG Hc Hx]; split.
- apply: mat_upper => [|i j le]; first exact: gram_sym.
  by rewrite [LHS]eval_linear // weight1 mul1r -HG -upperE.
- by apply: vectorP => i; rewrite vecE [LHS]eval_linear // weight1 mul1r -vecE Hc.
- apply: vectorP => i; rewrite vecE [LHS]eval_cat !eval_cat !eval_linear // eval_matvec_delta // -!vecE HG Hc Hx.
  by rewrite weight1 mul1r weightN mulNr /gd /gradient !entryE mulrBr opprB [- _ + _]addrC.
Qed.
Theorem last_gram_correct s k : (0 < k)%N -> vec D (run (last_gram N D s k)) N Fx = iter k (gd a b (phi s) N) x0.
Proof.
case: k => // k _; rewrite /last_gram /eval_specs foldl_cat iterSr.
have := last_gram_first_correct s; rewrite /eval_specs; move: (foldl _ _ _) (gd _ _ _ _ x0) => v x.
elim: k v x => [|k IH] v x H; first by case: H.
by rewrite iterSr; apply: IH; exact: last_gram_next_correct.
Qed.

(* doubling form *)
Theorem last_doubling_correct s m : vec D (run (last_doubling N D s m)) N Fx = iter (2 ^ m) (gd a b (phi s) N) x0.
Proof.
set v := eval_spec phi Causal N.+1 (doubling_first D (data_rows N) s) u.
have E : (mat D v N FP, vec D v N Fq, vec D v N Fx) = doubling_start a b (phi s) N x0.
  congr (_, _, _).
  - apply: mat_upper => [|i j le]; first by rewrite linearB linearZ /= trmx1 gram_sym.
    rewrite [LHS]eval_cat eval_convolved filtered_upper // data_rows_gram weightN mulNr !entryE addrC; congr (_ - _).
    by rewrite mxE -(inj_eq val_inj) /=; case: eqP => _; rewrite ?eval_nil // eval_constant // weight1.
  - by apply: vectorP => i; rewrite vecE [LHS]eval_convolved -filtered_vecE last_momentE scalemE.
  - by apply: vectorP => i; rewrite vecE [LHS]last_first_step.
rewrite -doubling_form -E; pose t n := (mat D v n FP, vec D v n Fq, vec D v n Fx).
by apply: (@doubling_run D R phi N.+1 m t v N).
Qed.
End Correct.

(* ---- the literal networks ---- *)
Section Networks.
Variables (N D : nat) (layers : seq spec).
Hypothesis some : (0 < size layers)%N.
Notation net := (literal (unmasked N D layers)).
Notation columns := (literal_columns (unmasked N D layers)).
Lemma unmasked_decoded (R : comRingType) (phi : scalars R) (a : nat -> 'cV[R]_D) b x0 :
  decoded phi net columns D (by_columns (plain_names LayoutS D) (given LayoutS N a b x0)) N =
  vec D (eval_specs phi Causal N.+1 layers (given LayoutS N a b x0)) N Fx.
Proof.
apply: vectorP => i; rewrite !mxE (@literal_computes (unmasked N D layers) _ R phi _ (given LayoutS N a b x0)).
- by rewrite /model_layers /= whole_order nth_vector_names.
- by rewrite /= size_iota.
- exact: holds_plain.
- by move=> n c; exact: given_supported.
- by [].
- by rewrite /= size_vector_names.
Qed.
Lemma unmasked_depth : depth net = size layers.
Proof. by rewrite literal_depth /= size_iota. Qed.
End Networks.
Section Theorems.
Variables (N D : nat).
Notation answer layers := (fun (R : comRingType) (phi : scalars R) (a : nat -> 'cV[R]_D) b x0 =>
  decoded phi (literal (unmasked N D layers)) (literal_columns (unmasked N D layers)) D
    (by_columns (plain_names LayoutS D) (given LayoutS N a b x0)) N).
(* The gradient (1/N) sum (a_n . x - b_n) a_n in two layers. *)
Theorem explicit_gradient R phi a b x0 :
  answer (last_gradient N D (per_point q1 N)) R phi a b x0 = phi (per_point q1 N) *: gradient a b N x0 /\
  depth (literal (unmasked N D (last_gradient N D (per_point q1 N)))) = 2%N.
Proof. by rewrite /= unmasked_decoded // unmasked_depth gradient_correct. Qed.
(* k steps in k + 1 layers, and 2^m steps in m + 2. *)
Theorem last_row_gram R phi a b x0 s k : (0 < k)%N ->
  answer (last_gram N D s k) R phi a b x0 = iter k (gd a b (phi s) N) x0 /\
  depth (literal (unmasked N D (last_gram N D s k))) = k.+1.
Proof.
by move=> k0; rewrite /= unmasked_decoded // unmasked_depth last_gram_correct // /last_gram /= size_nseq prednK.
Qed.
Theorem last_row_doubling R phi a b x0 s m :
  answer (last_doubling N D s m) R phi a b x0 = iter (2 ^ m) (gd a b (phi s) N) x0 /\
  depth (literal (unmasked N D (last_doubling N D s m))) = m.+2.
Proof. by rewrite /= unmasked_decoded // unmasked_depth last_doubling_correct /= size_nseq. Qed.
End Theorems.

(* One layer is not enough for the gradient: on a line it has degree three. *)
Theorem gradient_depth (F : numFieldType) (N D : nat) (s : F) T (net : seq (model_layer F T)) (enc : F -> 'I_T -> nat -> F) n o :
  s != 0 -> affine_line enc ->
  (forall t, model_run id net (enc t) n o = (s *: gradient (@line_a F D t) (fun=> 0) N.+1 (t *: delta_mx 0 0)) 0 0) ->
  (2 <= size net)%N.
Proof.
move=> s0 aff H; have := degree_bound net (size_line enc) n o.
have -> : model_run (@polyC F) net (line enc) n o = s *: 'X^3.
  apply: poly_ext => t; rewrite run_line // H hornerZ hornerXn /gradient line_gram.
  have -> : moment (line_a D t) (fun=> 0) N.+1 = 0 by rewrite /moment big1 // => i _; rewrite scale0r.
  by rewrite subr0 -scalemxAl -scalemxAr mul_delta_mx !scalerA !mxE !eqxx !exprS expr0 !mulr1 !mulrA.
by rewrite size_scale // size_polyXn ltnS; case: (size net) => [|[|]].
Qed.

(* Gradient descent, heavy ball and Chebyshev as networks in normal form: Gram, doubling and tight form, for every number
   of columns D, rows and steps. One text serves the layouts A, E and S: what differs is the filter [acc] that sums the
   data rows, the number of rows [seen n] that row n sees through it, and where the starting point comes from. *)
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
Variables (D : nat) (acc : filter) (spread : nat -> seq term).
Definition matvec k F M f i := sum D (fun j => product k F (sym M i j) (ch f j)).

(* Layer 1: a_n a_n^T and b_n a_n at every row, and the starting point at every row that is exact. *)
Definition outer_layer : spec := fun c =>
  match c with
  | (Faa, i, j) => product q1 delta (ch Fa i) (ch Fa j)
  | (Fba, i, _) => product q1 delta (ch Fb 0) (ch Fa i)
  | (Fx, i, _) => spread i
  | _ => [::]
  end.
(* Gram form: the first step reads the sums through the filter, the next ones carry them. A step is (eta/N, momentum). *)
Definition first_step (s : Q) (i : nat) :=
  linear q1 (ch Fx i) ++ matvec (Qopp s) acc Faa Fx i ++ convolved s acc (ch Fba i).
Definition gram_first (step : Q * Q) : spec := fun c =>
  match c with
  | (FG, i, j) => convolved q1 acc (Faa, i, j)
  | (Fc, i, _) => convolved q1 acc (ch Fba i)
  | (Fprevious, i, _) => linear q1 (ch Fx i)
  | (Fx, i, _) => first_step step.1 i
  | _ => [::]
  end.
Definition gram_next (step : Q * Q) : spec := fun c =>
  match c with
  | (FG, i, j) => linear q1 (FG, i, j)
  | (Fc, i, _) => linear q1 (ch Fc i)
  | (Fprevious, i, _) => linear q1 (ch Fx i)
  | (Fx, i, _) => linear q1 (ch Fx i) ++ linear step.2 (ch Fx i) ++ linear (Qopp step.2) (ch Fprevious i) ++
                  matvec (Qopp step.1) delta FG Fx i ++ linear step.1 (ch Fc i)
  | _ => [::]
  end.
(* Doubling form. *)
Definition doubling_first (s : Q) : spec := fun c =>
  match c with
  | (FP, i, j) => convolved (Qopp s) acc (Faa, i, j) ++ (if i == j then constant q1 else [::])
  | (Fq, i, _) => convolved s acc (ch Fba i)
  | (Fx, i, _) => first_step s i
  | _ => [::]
  end.
Definition doubling_next : spec := fun c =>
  match c with
  | (FP, i, j) => sum D (fun k => product q1 delta (sym FP i k) (sym FP k j))
  | (Fq, i, _) => matvec q1 delta FP Fq i ++ linear q1 (ch Fq i)
  | (Fx, i, _) => matvec q1 delta FP Fx i ++ linear q1 (ch Fq i)
  | _ => [::]
  end.
(* Tight form. *)
Definition tight_first (s : Q) : spec := fun c =>
  match c with
  | (FW, i, j) => product (Qopp s) delta (ch Fa i) (ch Fa j)
  | (Fv, i, _) => product s delta (ch Fb 0) (ch Fa i)
  | (Fx, i, _) => spread i
  | _ => [::]
  end.
Definition tight_next (digit : bool) : spec := fun c =>
  match c with
  | (FW, i, j) => linear q2 (FW, i, j) ++ sum D (fun k => product q1 midpoint (sym FW i k) (sym FW k j)) ++
                  sum D (fun k => product q1 midpoint (sym FW k j) (sym FW i k))
  | (Fv, i, _) => linear q2 (ch Fv i) ++ matvec q1 midpoint FW Fv i ++
                  sum D (fun k => product q1 midpoint (ch Fv k) (sym FW i k))
  | (Fx, i, _) => linear q1 (ch Fx i) ++
                  (if digit then matvec q1 acc FW Fx i ++ convolved q1 acc (ch Fv i) else [::])
  | _ => [::]
  end.

Definition gram_layers (steps : seq (Q * Q)) : seq spec :=
  if steps is step :: steps then outer_layer :: gram_first step :: map gram_next steps else [:: outer_layer].
Definition doubling_layers s m : seq spec := outer_layer :: doubling_first s :: nseq m doubling_next.
Definition tight_layers s digits : seq spec := tight_first s :: map tight_next digits.

(* ---- they compute what they say ---- *)
Variables (R : comRingType) (phi : scalars R) (N : nat) (seen : nat -> nat).
Hypothesis acc_sums : forall w n, (n < N)%N -> convolve phi Causal N acc w n = \sum_(m < seen n) w m.
Hypothesis seen_rows : forall n, (n < N)%N -> (seen n <= N)%N.
Variables (a : nat -> 'cV[R]_D) (b : nat -> R) (y : nat -> 'cV[R]_D).
Notation named := (named R).
Notation eval_spec := (eval_spec phi Causal N).
Notation vec v n f := (vec D v n f).
Notation mat v n f := (mat D v n f).
Implicit Types v : named.
(* The input: data in every row, the starting point of each row. *)
Record regression v : Prop := Regression {
  input_a : forall n, (n < N)%N -> vec v n Fa = a n;
  input_b : forall n, (n < N)%N -> v n (ch Fb 0) = b n;
  input_x : forall n (i : 'I_D), (n < N)%N -> eval_terms phi Causal N v n (spread i) = y n i 0
}.

Lemma product_aa k v n (i j : 'I_D) : regression v -> (n < N)%N ->
  eval_terms phi Causal N v n (product k delta (ch Fa i) (ch Fa j)) = phi k * (a n *m (a n)^T) i j.
Proof.
move=> H nN; rewrite eval_delta_product // -!vecE (input_a H) //; congr (_ * _).
by rewrite mulmE big_ord1; congr (_ * _); rewrite mxE.
Qed.
Lemma product_ba k v n (i : 'I_D) : regression v -> (n < N)%N ->
  eval_terms phi Causal N v n (product k delta (ch Fb 0) (ch Fa i)) = phi k * (b n *: a n) i 0.
Proof. by move=> H nN; rewrite eval_delta_product // (input_b H) // -vecE (input_a H) // scalemE. Qed.

Definition outers v := forall n, (n < N)%N ->
  [/\ mat v n Faa = a n *m (a n)^T, vec v n Fba = b n *: a n & vec v n Fx = y n].
Lemma outer_layer_correct v : regression v -> outers (eval_spec outer_layer v).
Proof.
move=> H n nN; split.
- apply: mat_upper => [|i j _]; first exact: outer_sym.
  by rewrite [LHS]product_aa // weight1 mul1r.
- by apply: vectorP => i; rewrite vecE [LHS]product_ba // weight1 mul1r.
- by apply: vectorP => i; rewrite vecE; exact: input_x.
Qed.
Lemma outers_gram v n : outers v -> (n < N)%N -> filtered_mat phi Causal N D acc v n Faa = gram a (seen n).
Proof.
move=> H nN; rewrite (filtered_mat_sum _ acc_sums) //; apply: eq_bigr => m _.
by case: (H m (leq_trans (ltn_ord m) (seen_rows nN))).
Qed.
Lemma outers_moment v n : outers v -> (n < N)%N -> filtered_vec phi Causal N D acc v n Fba = moment a b (seen n).
Proof.
move=> H nN; rewrite (filtered_vec_sum _ acc_sums) //; apply: eq_bigr => m _.
by case: (H m (leq_trans (ltn_ord m) (seen_rows nN))).
Qed.
Lemma first_step_correct v n s (i : 'I_D) : outers v -> (n < N)%N ->
  eval_terms phi Causal N v n (first_step s i) = gd a b (phi s) (seen n) (y n) i 0.
Proof.
move=> H nN; rewrite /first_step !eval_cat eval_linear // eval_matvec eval_convolved -filtered_vecE.
rewrite outers_gram // outers_moment // -vecE weight1 weightN mul1r; case: (H n nN) => _ _ ->.
by rewrite /gd /gradient !entryE mulrBr opprB mulNr [- _ + _]addrC.
Qed.

(* ---- Gram form ---- *)
Definition gram_state (state : nat -> 'cV[R]_D * 'cV[R]_D) v := forall n, (n < N)%N ->
  [/\ mat v n FG = gram a (seen n), vec v n Fc = moment a b (seen n), vec v n Fprevious = (state n).1
    & vec v n Fx = (state n).2].
Definition weighted (step : Q * Q) : R * R := (phi step.1, phi step.2).
Lemma gram_first_correct step v : outers v ->
  gram_state (fun n => momentum_step a b (seen n) (y n, y n) (weighted step)) (eval_spec (gram_first step) v).
Proof.
move=> H n nN; split.
- apply: mat_upper => [|i j le]; first exact: gram_sym.
  by rewrite [LHS]eval_convolved weight1 mul1r filtered_upper // outers_gram.
- by apply: vectorP => i; rewrite vecE [LHS]eval_convolved weight1 mul1r -filtered_vecE outers_moment.
- by apply: vectorP => i; rewrite vecE [LHS]eval_linear // weight1 mul1r -vecE; case: (H n nN) => _ _ ->.
- apply: vectorP => i; rewrite vecE [LHS]first_step_correct //.
  by rewrite /momentum_step /= subrr scaler0 addr0.
Qed.
Lemma gram_next_correct step state v : gram_state state v ->
  gram_state (fun n => momentum_step a b (seen n) (state n) (weighted step)) (eval_spec (gram_next step) v).
Proof.
move=> H n nN; have [HG Hc Hp Hx] := H n nN; split.
- apply: mat_upper => [|i j le]; first exact: gram_sym.
  by rewrite [LHS]eval_linear // weight1 mul1r -HG -upperE.
- by apply: vectorP => i; rewrite vecE [LHS]eval_linear // weight1 mul1r -vecE Hc.
- by apply: vectorP => i; rewrite vecE [LHS]eval_linear // weight1 mul1r -vecE Hx.
- apply: vectorP => i; rewrite vecE [LHS]eval_cat !eval_cat !eval_linear // eval_matvec_delta // -!vecE HG Hc Hp Hx.
  rewrite weight1 mul1r !weightN !mulNr /momentum_step /gradient /weighted !entryE !mulrBr opprB.
  by rewrite -!addrA; congr (_ + (_ + (_ + _))); rewrite addrC.
Qed.
Lemma gram_run steps state v n : gram_state state v -> (n < N)%N ->
  vec (eval_specs phi Causal N (map gram_next steps) v) n Fx =
  (foldl (momentum_step a b (seen n)) (state n) (map weighted steps)).2.
Proof.
elim: steps state v => [|st steps IH] state v H nN; first by case: (H n nN).
exact: IH (gram_next_correct st H) nN.
Qed.
Theorem gram_correct step steps v n : regression v -> (n < N)%N ->
  vec (eval_specs phi Causal N (gram_layers (step :: steps)) v) n Fx =
  momentum_method a b (seen n) (y n) (map weighted (step :: steps)).
Proof.
move=> H nN; exact: gram_run (gram_first_correct step (outer_layer_correct H)) nN.
Qed.

(* ---- doubling form ---- *)
Definition doubling_holds (t : nat -> doubling_state R D) v := forall n, (n < N)%N ->
  [/\ mat v n FP = (t n).1.1, vec v n Fq = (t n).1.2 & vec v n Fx = (t n).2].
Lemma doubling_first_correct s v : outers v ->
  doubling_holds (fun n => doubling_start a b (phi s) (seen n) (y n)) (eval_spec (doubling_first s) v).
Proof.
move=> H n nN; split=> /=.
- apply: mat_upper => [|i j le]; first by rewrite linearB linearZ /= trmx1 gram_sym.
  rewrite [LHS]eval_cat eval_convolved filtered_upper // outers_gram // weightN mulNr !entryE addrC; congr (_ - _).
  by rewrite mxE -(inj_eq val_inj) /=; case: eqP => _; rewrite ?eval_nil // eval_constant // weight1.
- by apply: vectorP => i; rewrite vecE [LHS]eval_convolved -filtered_vecE outers_moment // scalemE.
- by apply: vectorP => i; rewrite vecE [LHS]first_step_correct.
Qed.
Lemma doubling_next_correct t v : doubling_holds t v ->
  doubling_holds (fun n => doubling_layer (t n)) (eval_spec doubling_next v).
Proof.
move=> H n nN; have := H n nN; case: (t n) => [[P q] x] /= [HP Hq Hx].
have sP: P^T = P by rewrite -HP mat_sym.
split.
- apply: mat_upper => [|i j le]; first by rewrite trmx_mul sP.
  rewrite [LHS]eval_sum mulmE; apply: eq_bigr => k _.
  by rewrite eval_delta_product // weight1 mul1r -HP !mxE.
- by apply: vectorP => i; rewrite vecE [LHS]eval_cat eval_matvec_delta // eval_linear // weight1 !mul1r -vecE HP Hq entryE.
- by apply: vectorP => i; rewrite vecE [LHS]eval_cat eval_matvec_delta // eval_linear // weight1 !mul1r -vecE HP Hq Hx entryE.
Qed.
Lemma doubling_run m t v n : doubling_holds t v -> (n < N)%N ->
  vec (eval_specs phi Causal N (nseq m doubling_next) v) n Fx = (iter m (@doubling_layer R D) (t n)).2.
Proof.
elim: m t v => [|m IH] t v H nN; first by case: (H n nN).
by rewrite iterSr -(IH _ _ (doubling_next_correct H) nN).
Qed.
Theorem doubling_correct s m v n : regression v -> (n < N)%N ->
  vec (eval_specs phi Causal N (doubling_layers s m) v) n Fx = iter (2 ^ m) (gd a b (phi s) (seen n)) (y n).
Proof.
move=> H nN; rewrite -doubling_form.
exact: doubling_run (doubling_first_correct s (outer_layer_correct H)) nN.
Qed.

(* ---- tight form ---- *)
Definition tight_holds (t : tight_state R D) v := forall n, (n < N)%N ->
  [/\ mat v n FW = t.1.1 n, vec v n Fv = t.1.2 n & vec v n Fx = t.2 n].
Lemma tight_first_correct s v : regression v -> tight_holds (tight_start a b (phi s) y) (eval_spec (tight_first s) v).
Proof.
move=> H n nN; split=> /=.
- apply: mat_upper => [|i j _]; first by rewrite linearZ /= outer_sym.
  by rewrite [LHS]product_aa // weightN scalemE.
- by apply: vectorP => i; rewrite vecE [LHS]product_ba // !entryE mulrA.
- by apply: vectorP => i; rewrite vecE; exact: input_x.
Qed.
Let h := phi half.
Lemma mid_sym (w : nat -> 'M[R]_D) n : (forall m, (m <= n)%N -> (w m)^T = w m) -> (mid h w n)^T = mid h w n.
Proof.
move=> H; rewrite /mid linearD linearZ /= H // raddf_sum /=; congr (_ + _).
by apply: eq_bigr => m _; rewrite H // ltnW.
Qed.
Lemma filtered_mid_mat v n f w : (n < N)%N -> (forall m, (m < N)%N -> mat v m f = w m) ->
  filtered_mat phi Causal N D midpoint v n f = mid h w n.
Proof.
move=> nN H; apply/matrixP => i j; rewrite mxE midpointE // /mid -H // addmE scalemE summxE; congr (_ + _ * _).
  by apply: eq_bigr => m _; rewrite -H ?mxE // (ltn_trans _ nN).
by rewrite mxE.
Qed.
Lemma filtered_mid_vec v n f w : (n < N)%N -> (forall m, (m < N)%N -> vec v m f = w m) ->
  filtered_vec phi Causal N D midpoint v n f = mid h w n.
Proof.
move=> nN H; apply: vectorP => i; rewrite mxE midpointE // /mid -H // addmE scalemE summxE; congr (_ + _ * _).
  by apply: eq_bigr => m _; rewrite -H ?mxE // (ltn_trans _ nN).
by rewrite mxE.
Qed.
Lemma tight_next_correct d t v : tight_holds t v -> tight_holds (tight_layer h seen t d) (eval_spec (tight_next d) v).
Proof.
case: t => [[W w] x] H n nN.
have HW m : (m < N)%N -> mat v m FW = W m by move=> mN; case: (H m mN).
have Hv m : (m < N)%N -> vec v m Fv = w m by move=> mN; case: (H m mN).
have Hx m : (m < N)%N -> vec v m Fx = x m by move=> mN; case: (H m mN).
have mW := filtered_mid_mat nN HW; have mv := filtered_mid_vec nN Hv.
have sW m : (m <= n)%N -> (W m)^T = W m by move=> mn; rewrite -HW ?mat_sym // (leq_ltn_trans mn).
have in_seen m : (m < seen n)%N -> (m < N)%N by move=> lt; rewrite (leq_trans lt) // seen_rows.
split; cbn [fst snd tight_layer].
- apply: mat_upper => [|i j le].
    rewrite /next_W; move: (mid_sym sW); move: (mid _ _ _) => M sM; by rewrite !linearD /= !trmx_mul !sW // sM addrAC.
  rewrite [LHS]eval_cat eval_cat eval_linear // weight2 mulrDl mul1r /next_W !addmE -!addrA upperE // HW //.
  congr (_ + (_ + (_ + _))); rewrite eval_sum mulmE; apply: eq_bigr => k _.
    by rewrite eval_product weight1 mul1r -mW -HW // !mxE.
  by rewrite eval_product weight1 mul1r mulrC -mW -HW // !mxE.
- apply: vectorP => i; rewrite vecE [LHS]eval_cat eval_cat eval_linear // weight2 mulrDl mul1r -vecE Hv // eval_matvec.
  rewrite /next_v !addmE -!addrA weight1 mul1r mW Hv //; congr (_ + (_ + (_ + _))).
  rewrite eval_sum mulmE; apply: eq_bigr => k _.
  by rewrite eval_product weight1 mul1r mulrC -mv -HW // !mxE.
- apply: vectorP => i; rewrite vecE [LHS]eval_cat eval_linear // weight1 mul1r -vecE Hx //.
  case: d; last by rewrite eval_nil addr0.
  rewrite eval_cat eval_matvec eval_convolved weight1 !mul1r -filtered_vecE (filtered_mat_sum _ acc_sums) //.
  rewrite (filtered_vec_sum _ acc_sums) // Hx // !addmE.
  have -> : \sum_(m < seen n) mat v m FW = \sum_(m < seen n) W m by apply: eq_bigr => m _; apply: HW; exact: in_seen.
  by have -> : \sum_(m < seen n) vec v m Fv = \sum_(m < seen n) w m by apply: eq_bigr => m _; apply: Hv; exact: in_seen.
Qed.
Lemma tight_run digits t v n : tight_holds t v -> (n < N)%N ->
  vec (eval_specs phi Causal N (map tight_next digits) v) n Fx = (foldl (tight_layer h seen) t digits).2 n.
Proof.
elim: digits t v => [|d ds IH] t v H nN; first by case: (H n nN).
exact: IH (tight_next_correct d H) nN.
Qed.
Theorem tight_correct s digits v n : regression v -> (n < N)%N ->
  vec (eval_specs phi Causal N (tight_layers s digits) v) n Fx = iter (number digits) (gd a b (phi s) (seen n)) (y n).
Proof.
move=> H nN; rewrite -(tight_form (half_half phi)).
exact: tight_run (tight_first_correct s H) nN.
Qed.
End Layers.

(* Families of channels as vectors and matrices, and what sums of terms make of them. *)
From Coq Require Import QArith.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg zmodp matrix.
From Precls Require Import Scalars Network NormalForm.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Close Scope Q_scope.
Local Open Scope ring_scope.

(* ---- entries of matrix expressions, one operation at a time ---- *)
Section Entries.
Variables (R : comRingType) (k l : nat).
Implicit Types (A B : 'M[R]_(k, l)).
Lemma addmE A B i j : (A + B) i j = A i j + B i j. Proof. by rewrite mxE. Qed.
Lemma oppmE A i j : (- A) i j = - A i j. Proof. by rewrite mxE. Qed.
Lemma scalemE s A i j : (s *: A) i j = s * A i j. Proof. by rewrite mxE. Qed.
Lemma mulmE p (A : 'M[R]_(k, p)) (B : 'M[R]_(p, l)) i j : (A *m B) i j = \sum_t A i t * B t j. Proof. by rewrite mxE. Qed.
Lemma vectorP (v w : 'cV[R]_k) : (forall i, v i 0 = w i 0) -> v = w.
Proof. by move=> H; apply/matrixP => i j; rewrite ord1. Qed.
End Entries.
Definition entryE := (addmE, oppmE, scalemE).

Lemma symC f i j : sym f i j = sym f j i.
Proof. by rewrite /sym; case: ltngtP => // ->. Qed.

Section Families.
Variables (R : comRingType) (phi : scalars R) (md : mode) (N D : nat).
Notation named := (named R).
Implicit Types v : named.

Definition vec v n f : 'cV[R]_D := \col_i v n (ch f i).
Definition mat v n f : 'M[R]_D := \matrix_(i, j) v n (sym f i j).       (* a symmetric family *)
Definition full v n f : 'M[R]_D := \matrix_(i, j) v n (f, nat_of_ord i, nat_of_ord j).
Definition filtered_vec F v n f : 'cV[R]_D := \col_i convolve phi md N F (fun m => v m (ch f i)) n.
Definition filtered_mat F v n f : 'M[R]_D := \matrix_(i, j) convolve phi md N F (fun m => v m (sym f i j)) n.

Lemma vecE v n f (i : 'I_D) : vec v n f i 0 = v n (ch f i). Proof. by rewrite mxE. Qed.
Lemma filtered_vecE F v n f (i : 'I_D) : filtered_vec F v n f i 0 = convolve phi md N F (fun m => v m (ch f i)) n.
Proof. by rewrite mxE. Qed.
Lemma mat_sym v n f : (mat v n f)^T = mat v n f.
Proof. by apply/matrixP => i j; rewrite !mxE symC. Qed.
(* A symmetric matrix is known by the entries that have channels. *)
Lemma mat_upper v n f (M : 'M[R]_D) :
  M^T = M -> (forall i j : 'I_D, (i <= j)%N -> v n (f, nat_of_ord i, nat_of_ord j) = M i j) -> mat v n f = M.
Proof.
move=> sM H; apply/matrixP => i j; rewrite !mxE /sym; case: leqP => [le|/ltnW le]; first exact: H.
by rewrite -sM mxE; apply: H.
Qed.
Lemma upperE v n f (i j : 'I_D) : (i <= j)%N -> v n (f, nat_of_ord i, nat_of_ord j) = mat v n f i j.
Proof. by move=> le; rewrite mxE /sym le. Qed.
Lemma filtered_upper F v n f (i j : 'I_D) : (i <= j)%N ->
  convolve phi md N F (fun m => v m (f, nat_of_ord i, nat_of_ord j)) n = filtered_mat F v n f i j.
Proof. by move=> le; rewrite mxE /sym le. Qed.

Lemma filtered_mat_delta v n f : (n < N)%N -> filtered_mat delta v n f = mat v n f.
Proof. by move=> nN; apply/matrixP => i j; rewrite !mxE deltaE. Qed.
(* A filter that sums what row n sees. *)
Section Sums.
Variables (F : filter) (seen : nat -> nat).
Hypothesis sums : forall w n, (n < N)%N -> convolve phi md N F w n = \sum_(m < seen n) w m.
Lemma filtered_mat_sum v n f : (n < N)%N -> filtered_mat F v n f = \sum_(m < seen n) mat v m f.
Proof. by move=> nN; apply/matrixP => i j; rewrite summxE !mxE sums //; apply: eq_bigr => m _; rewrite mxE. Qed.
Lemma filtered_vec_sum v n f : (n < N)%N -> filtered_vec F v n f = \sum_(m < seen n) vec v m f.
Proof. by move=> nN; apply/matrixP => i j; rewrite summxE !mxE sums //; apply: eq_bigr => m _; rewrite mxE. Qed.
End Sums.

Lemma eval_matvec v n k F M g (i : 'I_D) :
  eval_terms phi md N v n (sum D (fun j => product k F (sym M i j) (ch g j))) =
  phi k * (filtered_mat F v n M *m vec v n g) i 0.
Proof. by rewrite eval_sum mulmE mulr_sumr; apply: eq_bigr => j _; rewrite eval_product !mxE. Qed.
Lemma eval_matvec_delta v n k M g (i : 'I_D) : (n < N)%N ->
  eval_terms phi md N v n (sum D (fun j => product k delta (sym M i j) (ch g j))) = phi k * (mat v n M *m vec v n g) i 0.
Proof. by move=> nN; rewrite eval_matvec filtered_mat_delta. Qed.
(* a dot product of vectors *)
Lemma eval_dot v n k f g : (n < N)%N ->
  eval_terms phi md N v n (sum D (fun j => product k delta (ch f j) (ch g j))) = phi k * ((vec v n f)^T *m vec v n g) 0 0.
Proof. by move=> nN; rewrite eval_sum mulmE mulr_sumr; apply: eq_bigr => j _; rewrite eval_delta_product // !mxE. Qed.
End Families.

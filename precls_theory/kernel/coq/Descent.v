(* Least squares and its iterations, over every commutative ring, for every number of data points p and columns D.
   Data rows a_0, a_1, ... with targets b_0, b_1, ...;  G = sum a_n a_n^T,  c = sum b_n a_n;  s stands for eta/N. *)
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg zmodp matrix.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Section LeastSquares.
Variables (R : comRingType) (D : nat) (a : nat -> 'cV[R]_D) (b : nat -> R).
Definition gram p : 'M[R]_D := \sum_(n < p) a n *m (a n)^T.
Definition moment p : 'cV[R]_D := \sum_(n < p) b n *: a n.
Definition gradient p (x : 'cV[R]_D) := gram p *m x - moment p.
(* One step of gradient descent on the first p data points. *)
Definition gd s p (x : 'cV[R]_D) := x - s *: gradient p x.
(* One step with momentum, from (previous, x): x + beta (x - previous) - s (G x - c). *)
Definition momentum_step p (state : 'cV[R]_D * 'cV[R]_D) (step : R * R) :=
  (state.2, state.2 + step.2 *: (state.2 - state.1) - step.1 *: gradient p state.2).
Definition momentum_method p (x : 'cV[R]_D) (steps : seq (R * R)) : 'cV[R]_D :=
  (foldl (momentum_step p) (x, x) steps).2.

Lemma outer_sym (w : 'cV[R]_D) : (w *m w^T)^T = w *m w^T.
Proof. by rewrite trmx_mul trmxK. Qed.
Lemma gram_sym p : (gram p)^T = gram p.
Proof. by rewrite raddf_sum; apply: eq_bigr => n _; exact: outer_sym. Qed.

Lemma momentum_gd s p x k : momentum_method p x (nseq k (s, 0)) = iter k (gd s p) x.
Proof.
rewrite /momentum_method; move: {1}x => prev; elim: k x prev => [|k IH] x prev //.
by rewrite iterSr -(IH _ x) /= /momentum_step /= scale0r addr0.
Qed.
End LeastSquares.

Section DesignMatrix.
Variables (R : comRingType) (N D : nat) (A : 'M[R]_(N, D)) (b : 'cV[R]_N).
(* The same in matrices: G = A^T A and c = A^T b, when row n of A is a_n. *)
Lemma gram_matrix (a : nat -> 'cV[R]_D) : (forall n : 'I_N, a n = (row n A)^T) -> gram a N = A^T *m A.
Proof.
move=> H; apply/matrixP => i j; rewrite summxE mxE; apply: eq_bigr => n _.
by rewrite H !mxE big_ord1 !mxE.
Qed.
Lemma moment_matrix (a : nat -> 'cV[R]_D) (t : nat -> R) :
  (forall n : 'I_N, a n = (row n A)^T) -> (forall n : 'I_N, t n = b n 0) -> moment a t N = A^T *m b.
Proof.
move=> H Hb; apply/matrixP => i j; rewrite summxE mxE ord1; apply: eq_bigr => n _.
by rewrite H Hb !mxE mulrC.
Qed.
End DesignMatrix.

(* ---- maps of j steps, and their squares ---- *)
Section Maps.
Variables (R : comRingType) (D : nat).
(* x -> P x + q is j steps of f. *)
Definition represents (f : 'cV[R]_D -> 'cV[R]_D) (j : nat) (P : 'M[R]_D) (q : 'cV[R]_D) :=
  forall x, P *m x + q = iter j f x.
Lemma represents_gd a b s p : represents (gd a b s p) 1 (1%:M - s *: gram a p) (s *: moment a b p).
Proof. by move=> x; rewrite mulmxBl mul1mx -scalemxAl /= /gd /gradient scalerBr opprB addrA addrAC. Qed.
Lemma represents_double f j P q : represents f j P q -> represents f j.*2 (P *m P) (P *m q + q).
Proof.
by move=> H x; rewrite -addnn iterD -[iter j f x]H -[in RHS]H mulmxDr mulmxA addrA.
Qed.
End Maps.

(* ---- doubling form ---- *)
Section Doubling.
Variables (R : comRingType) (D : nat).
Definition doubling_state := ('M[R]_D * 'cV[R]_D * 'cV[R]_D)%type.
Definition doubling_layer (t : doubling_state) : doubling_state :=
  let: (P, q, x) := t in (P *m P, P *m q + q, P *m x + q).
Definition doubling_start a b s p x : doubling_state := (1%:M - s *: gram a p, s *: moment a b p, gd a b s p x).

Lemma doubling_invariant a b s p x m : let t := iter m doubling_layer (doubling_start a b s p x) in
  represents (gd a b s p) (2 ^ m) t.1.1 t.1.2 /\ t.2 = iter (2 ^ m) (gd a b s p) x.
Proof.
elim: m => [|m]; first by split; first exact: represents_gd.
rewrite iterS; case: (iter m _ _) => [[P q] y] /= [H ->]; split.
- by rewrite expnS mul2n; apply: represents_double.
- by rewrite H -iterD addnn -mul2n expnS.
Qed.
(* 2^m steps are one step and m squarings. *)
Theorem doubling_form a b s p x m : (iter m doubling_layer (doubling_start a b s p x)).2 = iter (2 ^ m) (gd a b s p) x.
Proof. by have [] := doubling_invariant a b s p x m. Qed.
End Doubling.

(* ---- tight form: increments by row, any number of steps ---- *)
Section Tight.
Variables (R : comRingType) (D : nat) (half : R).
Hypothesis half_half : half + half = 1.
Implicit Types (W : nat -> 'M[R]_D) (v : nat -> 'cV[R]_D).

(* [mid w n]: the mean of the sums up to row n, with and without it. *)
Definition mid k l (w : nat -> 'M[R]_(k, l)) n := \sum_(i < n) w i + half *: w n.
Definition next_W W n := W n + W n + mid W n *m W n + W n *m mid W n.
Definition next_v W v n := v n + v n + mid W n *m v n + W n *m mid v n.

(* The product of two prefix sums, as a sum of increments. *)
Lemma mid_product k l p (w : nat -> 'M[R]_(k, l)) (u : nat -> 'M[R]_(l, p)) n :
  \sum_(i < n) (mid w i *m u i + w i *m mid u i) = (\sum_(i < n) w i) *m (\sum_(i < n) u i).
Proof.
elim: n => [|n IH]; first by rewrite !big_ord0 mul0mx.
rewrite !big_ord_recr /= IH /mid; set S := \sum_(i < n) w i; set T := \sum_(i < n) u i.
rewrite !(mulmxDl, mulmxDr) -scalemxAl -scalemxAr -!addrA; congr (_ + _).
have E: half *: (w n *m u n) + half *: (w n *m u n) = w n *m u n by rewrite -scalerDl half_half scale1r.
by rewrite [half *: _ + (_ + _)]addrCA E addrCA.
Qed.
Lemma sum_next_W W n : let T := \sum_(i < n) W i in \sum_(i < n) next_W W i = T + T + T *m T.
Proof. by rewrite /= -mid_product -!big_split /=; apply: eq_bigr => i _; rewrite /next_W !addrA. Qed.
Lemma sum_next_v W v n : let q := \sum_(i < n) v i in
  \sum_(i < n) next_v W v i = q + q + (\sum_(i < n) W i) *m q.
Proof. by rewrite /= -mid_product -!big_split /=; apply: eq_bigr => i _; rewrite /next_v !addrA. Qed.

(* Row n applies the map of the first [seen n] rows. *)
Variable seen : nat -> nat.
Definition tight_state := ((nat -> 'M[R]_D) * (nat -> 'cV[R]_D) * (nat -> 'cV[R]_D))%type.
Definition tight_layer (t : tight_state) (digit : bool) : tight_state :=
  let: (W, v, x) := t in
  (next_W W, next_v W v,
   fun n => if digit then x n + ((\sum_(i < seen n) W i) *m x n + \sum_(i < seen n) v i) else x n).

(* Least significant digit first. *)
Fixpoint number (digits : seq bool) : nat := if digits is d :: ds then d + (number ds).*2 else 0.

Lemma tight_digits (f : nat -> 'cV[R]_D -> 'cV[R]_D) digits (t : tight_state) j :
  (forall p, represents (f p) j (1%:M + \sum_(i < p) t.1.1 i) (\sum_(i < p) t.1.2 i)) ->
  forall n, (foldl tight_layer t digits).2 n = iter (j * number digits) (f (seen n)) (t.2 n).
Proof.
elim: digits t j => [|d ds IH] [[W v] x] j H n; first by rewrite muln0.
rewrite [foldl _ _ _]/= (IH _ j.*2).
- rewrite /= mulnDr -!doubleMl -!doubleMr addnC iterD; congr (iter _ _ _).
  case: d => /=; last by rewrite muln0.
  by rewrite muln1; have /= <- := H (seen n); rewrite mulmxDl mul1mx addrA.
- move=> p y; have /represents_double/(_ y) := H p; rewrite /= => <-.
  rewrite sum_next_W sum_next_v; congr (_ *m _ + _).
  + by rewrite mulmxDl !mulmxDr !mul1mx mulmx1 -!addrA.
  + by rewrite mulmxDl mul1mx addrAC.
Qed.

Variables (a : nat -> 'cV[R]_D) (b : nat -> R) (s : R) (x : nat -> 'cV[R]_D).
Definition tight_start : tight_state := (fun n => - s *: (a n *m (a n)^T), fun n => (s * b n) *: a n, x).
(* Any number of steps, by its binary digits. *)
Theorem tight_form digits n :
  (foldl tight_layer tight_start digits).2 n = iter (number digits) (gd a b s (seen n)) (x n).
Proof.
rewrite (@tight_digits (gd a b s) digits tight_start 1) ?mul1n // => p y /=.
rewrite mulmxDl mul1mx -addrA; congr (_ + _).
rewrite /gradient /gram /moment mulmx_suml mulmx_suml -big_split -sumrB scaler_sumr -sumrN /=; apply: eq_bigr => i _.
by rewrite scalerBr opprB addrC -scalemxAl scaleNr scalerA.
Qed.
End Tight.

(* ---- Newton: M <- 2M - M G M from M = alpha I; the residual form keeps R = 1 - M G ---- *)
Section Newton.
Variables (R : comRingType) (D : nat) (G : 'M[R]_D) (alpha : R).
Definition newton (M : 'M[R]_D) := M + M - M *m G *m M.
Definition newton_iterate t := iter t newton alpha%:M.
Definition newton_pair (p : 'M[R]_D * 'M[R]_D) := (p.1 *m p.1, p.2 + p.1 *m p.2).     (* (R, M) *)
Definition newton_start : 'M[R]_D * 'M[R]_D := (1%:M - alpha *: G, alpha%:M).

Lemma newton_commutes t : G *m newton_iterate t = newton_iterate t *m G.
Proof.
rewrite /newton_iterate; elim: t => [|t]; first by rewrite /= mul_mx_scalar mul_scalar_mx.
rewrite iterS; move: (iter t newton _) => M com.
by rewrite /newton mulmxBl mulmxBr mulmxDl mulmxDr com !mulmxA com -!mulmxA com !mulmxA.
Qed.
(* One layer an iterate: the pair (R, M) of the residual form is (1 - G M_t, M_t). *)
Theorem newton_residual t : iter t newton_pair newton_start = (1%:M - G *m newton_iterate t, newton_iterate t).
Proof.
elim: t => [|t IH]; first by rewrite /= mul_mx_scalar.
rewrite !iterS IH; have := newton_commutes t; rewrite /newton_iterate iterS; move: (iter t newton _) => M com.
congr pair; rewrite /newton_pair /newton /=; last by rewrite com mulmxBl mul1mx addrA.
rewrite mulmxBl mul1mx !mulmxBr mulmx1 mulmxDr !mulmxA !opprB opprD.
by rewrite -addrA; congr (_ + _); rewrite addrCA.
Qed.

Definition power (P : 'M[R]_D) j := iter j (mulmx P) 1%:M.
Lemma powerD P i j : power P (i + j) = power P i *m power P j.
Proof. by elim: i => [|i IH]; rewrite ?mul1mx // addSn /power !iterS -!/(power _ _) IH mulmxA. Qed.

(* I - G M_t = (I - alpha G)^(2^t) *)
Theorem newton_power t : 1%:M - G *m newton_iterate t = power (1%:M - alpha *: G) (2 ^ t).
Proof.
have := congr1 fst (newton_residual t); rewrite /= => <-.
elim: t => [|t IH]; first by rewrite /power /= mulmx1.
by rewrite iterS /newton_pair /= IH -powerD addnn -mul2n expnS.
Qed.
(* The same with the factors exchanged: I - M_t G = (I - alpha G)^(2^t) *)
Theorem newton_power_left t : 1%:M - newton_iterate t *m G = power (1%:M - alpha *: G) (2 ^ t).
Proof. by rewrite -newton_commutes newton_power. Qed.
(* M_t = alpha sum_(i < 2^t) (I - alpha G)^i *)
Theorem newton_sum t : newton_iterate t = alpha *: \sum_(i < 2 ^ t) power (1%:M - alpha *: G) i.
Proof.
elim: t => [|t IH]; first by rewrite /newton_iterate /= expn0 big_ord1 /power /= scale_scalar_mx mulr1.
have := congr1 snd (newton_residual t.+1); rewrite iterS newton_residual /newton_pair /= newton_power => <-.
rewrite expnS mul2n -addnn big_split_ord /= scalerDr -IH; congr (_ + _).
rewrite IH -scalemxAr mulmx_sumr; congr (_ *: _); apply: eq_bigr => i _; exact: (esym (powerD _ _ _)).
Qed.
(* M_t c is 2^t steps of gradient descent from zero, for singular G too. *)
Theorem newton_descent t (c : 'cV[R]_D) :
  newton_iterate t *m c = iter (2 ^ t) (fun x => x - alpha *: (G *m x - c)) 0.
Proof.
set f := fun x => _.
suff: (forall x, (iter t newton_pair newton_start).1 *m x + (iter t newton_pair newton_start).2 *m c = iter (2 ^ t) f x).
  by move=> /(_ 0); rewrite mulmx0 add0r newton_residual.
elim: t => [|t IH] x.
  by rewrite /= mulmxBl mul1mx mul_scalar_mx -scalemxAl /f scalerBr opprB addrA addrAC.
by rewrite iterS expnS mul2n -addnn iterD -!IH /newton_pair /= mulmxDr mulmxDl !mulmxA addrA [in RHS]addrAC.
Qed.
(* The doubling form keeps y = M c in place of M. *)
Definition newton_vector (p : 'M[R]_D * 'cV[R]_D) := (p.1 *m p.1, p.2 + p.1 *m p.2).
Theorem newton_doubling t (c : 'cV[R]_D) :
  iter t newton_vector (1%:M - alpha *: G, alpha *: c) = (1%:M - G *m newton_iterate t, newton_iterate t *m c).
Proof.
elim: t => [|t IH]; first by rewrite /newton_iterate /= mul_mx_scalar mul_scalar_mx.
have E : newton_pair (1%:M - G *m newton_iterate t, newton_iterate t) =
    (1%:M - G *m newton_iterate t.+1, newton_iterate t.+1) by rewrite -!newton_residual iterS.
have E1 : (1%:M - G *m newton_iterate t) *m (1%:M - G *m newton_iterate t) = 1%:M - G *m newton_iterate t.+1.
  exact: (congr1 fst E).
have E2 : newton_iterate t + (1%:M - G *m newton_iterate t) *m newton_iterate t = newton_iterate t.+1.
  exact: (congr1 snd E).
by rewrite iterS IH /newton_vector [fst _]/= [snd _]/= E1; congr pair; rewrite -[in RHS]E2 [RHS]mulmxDl mulmxA.
Qed.
(* The direct form: two layers an iterate, Y = G M and then 2 M - M Y. *)
Theorem newton_direct M : M + M - M *m (G *m M) = newton M.
Proof. by rewrite /newton mulmxA. Qed.

(* ---- refinement: x + M A^T (b - A x), with the residual formed from the data rows ---- *)
Variables (a : nat -> 'cV[R]_D) (b : nat -> R) (N : nat).
Definition refine (M : 'M[R]_D) (x : 'cV[R]_D) := x + M *m \sum_(n < N) (b n - ((a n)^T *m x) 0 0) *: a n.
Lemma residual_sum x : \sum_(n < N) (b n - ((a n)^T *m x) 0 0) *: a n = moment a b N - gram a N *m x.
Proof.
rewrite /moment /gram mulmx_suml -sumrB; apply: eq_bigr => n _; rewrite scalerBl; congr (_ - _).
apply/matrixP => i j; rewrite -mulmxA !mxE big_ord1 ord1 mulrC; congr (_ * _).
by rewrite mxE.
Qed.
(* It contracts the error of any solution xs of the normal equations by 1 - M G. *)
Theorem refinement_error M x xs : gram a N *m xs = moment a b N ->
  refine M x - xs = (1%:M - M *m gram a N) *m (x - xs).
Proof.
move=> E; rewrite /refine residual_sum -E mulmxBl mul1mx !mulmxBr !mulmxA.
by rewrite [in RHS]opprB addrAC.
Qed.
End Newton.

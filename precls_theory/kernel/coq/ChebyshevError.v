(* The Chebyshev semi-iteration (Golub & Varga 1961): after k steps the error is T_k((d - G/N)/(rho d)) / T_k(1/rho) times the
   first one, T_k the Chebyshev polynomial, d = (lower + upper)/2, rho = (upper - lower)/(upper + lower): for every k, N and
   D, over every commutative ring into which Q maps. With sigma = 1/rho the argument is sigma (1 - G/(N d)). *)
From Coq Require Import QArith Lqa.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg poly order ssrnum zmodp matrix.
From Precls Require Import Scalars Network NormalForm Descent Families Gradient Layouts Algorithms Soundness.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Close Scope Q_scope.
Local Open Scope ring_scope.

(* T_0 = 1, T_1 = z, T_(k+1) = 2 z T_k - T_(k-1): of a number, and of a matrix. The pair is (T_k, T_(k+1)). *)
Fixpoint T_pair (z : Q) (k : nat) : Q * Q :=
  if k is k.+1 then let: (t, t') := T_pair z k in (t', (Qminus (Qmult (Qmult q2 z) t') t)) else (q1, z).
Definition T z k := (T_pair z k).1.
Lemma T_next z k : (T_pair z k).2 = T z k.+1.
Proof. by rewrite /T /=; case: T_pair. Qed.
Lemma T_recurrence z k : T z k.+2 = Qminus (Qmult (Qmult q2 z) (T z k.+1)) (T z k).
Proof. by rewrite -T_next /= -T_next /T; case: T_pair. Qed.
Section Matrices.
Variables (R : comRingType) (D : nat) (Z : 'M[R]_D).
Fixpoint TM_pair (k : nat) : 'M[R]_D * 'M[R]_D :=
  if k is k.+1 then let: (t, t') := TM_pair k in (t', (Z *m t' + Z *m t') - t) else (1%:M, Z).
Definition TM k := (TM_pair k).1.
Lemma TM_recurrence k : TM k.+2 = (Z *m TM k.+1 + Z *m TM k.+1) - TM k.
Proof. by rewrite /TM /=; case: TM_pair. Qed.
End Matrices.

(* ---- the rational numbers: T_k(sigma) > 0, and omega_(k+1) = 2 sigma T_k(sigma) / T_(k+1)(sigma) ---- *)
Section Rational.
Variables (lower upper : Q).
Hypotheses (lower_pos : Qlt q0 lower) (in_order : Qlt lower upper).
Local Open Scope Q_scope.
Definition sigma := (upper + lower) / (upper - lower).
Lemma s_large : 1 < sigma.
Proof. rewrite /sigma; apply: Qlt_shift_div_l; lra. Qed.
Lemma T_grows k : 0 < T sigma k <= T sigma k.+1.
Proof.
have := s_large; elim: k => [|k]; first by rewrite /T /=; lra.
by rewrite T_recurrence; move: (T sigma k) (T sigma k.+1) => t t' IH; nra.
Qed.
Lemma rho_squaredE : rho_squared lower upper == / (sigma * sigma).
Proof. by rewrite /rho_squared Qred_correct /sigma; field; repeat split; lra. Qed.
Lemma first_omega : next_omega lower upper true 1 == 2 * sigma * T sigma 1 / T sigma 2.
Proof.
have := s_large; rewrite /next_omega Qred_correct rho_squaredE T_recurrence /T /= => h.
field; repeat split; nra.
Qed.
Lemma further_omega omega k : omega == 2 * sigma * T sigma k / T sigma k.+1 ->
  next_omega lower upper false omega == 2 * sigma * T sigma k.+1 / T sigma k.+2.
Proof.
move=> E; rewrite /next_omega Qred_correct rho_squaredE E /quarter T_recurrence.
have := T_grows k; have := T_grows k.+1; rewrite T_recurrence; have := s_large.
move: (T sigma k) (T sigma k.+1) => t t' h h' h''; field; repeat split; nra.
Qed.
End Rational.

(* ---- over the ring ---- *)
Section Error.
Variables (R : comRingType) (phi : scalars R) (N D : nat) (a : nat -> 'cV[R]_D) (b : nat -> R) (p : nat).
Variables (lower upper : Q) (x xs : 'cV[R]_D).
Hypotheses (lower_pos : Qlt q0 lower) (in_order : Qlt lower upper).
Hypothesis solution : gram a p *m xs = moment a b p.
Notation sigma := (sigma lower upper).
Notation t := (T sigma).
Definition rate := per_point (Qinv (centre lower upper)) N.     (* 1/(N d) *)
Definition shrunk : 'M[R]_D := 1%:M - phi rate *: gram a p.      (* 1 - G/(N d) *)
Definition argument : 'M[R]_D := phi sigma *: shrunk.               (* (d - G/N)/(rho d) *)
Definition error k : 'cV[R]_D := phi (Qinv (t k)) *: (TM argument k *m (x - xs)).
Definition scaled (st : Q * Q) : Q * Q := (per_point st.1 N, st.2).

Lemma t_neq0 k : ~ Qeq (t k) q0.
Proof. by have := T_grows lower_pos in_order k; lra. Qed.
(* One step of the method on errors. *)
Lemma step_error previous current omega :
  momentum_step a b p (xs + previous, xs + current)
    (phi (per_point (Qred (Qdiv omega (centre lower upper))) N), phi (Qred (Qminus omega q1))) =
  (xs + current, xs + (phi omega *: (shrunk *m current) + (1 - phi omega) *: previous)).
Proof.
rewrite /momentum_step /=; congr pair.
have -> : phi (per_point (Qred (Qdiv omega (centre lower upper))) N) = phi omega * phi rate.
  by rewrite -weightM; apply: weight_eq; rewrite /rate /per_point !Qred_correct /Qdiv Qmult_assoc.
have -> : phi (Qred (Qminus omega q1)) = phi omega - 1 by rewrite weight_red weightD weightN weight1.
rewrite /gradient mulmxDr solution [moment a b p + _]addrC addrK opprD addrACA subrr add0r -!addrA; congr (xs + _).
rewrite /shrunk mulmxBl mul1mx -scalemxAl; move: (gram a p *m current) (phi omega) (phi rate) => g w r.
rewrite -scalerA [in RHS]scalerBr (scalerBl 1 w) scale1r (scalerBl w 1) scale1r opprB addrA addrCA.
rewrite [current + _]addrC addrA subrK scalerBr -!addrA addrCA; congr (_ + _).
by rewrite [RHS]addrCA; congr (_ + _); rewrite addrC.
Qed.
Lemma next_error k omega : Qeq omega (Qdiv (Qmult (Qmult q2 sigma) (t k.+1)) (t k.+2)) ->
  phi omega *: (shrunk *m error k.+1) + (1 - phi omega) *: error k = error k.+2.
Proof.
move=> E; have argumentE w : argument *m w = phi sigma *: (shrunk *m w) by rewrite -scalemxAl.
rewrite /error TM_recurrence [in RHS]mulmxBl [in RHS]mulmxDl -!mulmxA !argumentE -!scalemxAr.
rewrite scalerBr scalerDr !scalerA -scalerDl -mulrDr -(weightD phi sigma sigma) -!weightM -scaleNr -weightN; congr (_ *: _ + _ *: _).
  by apply: weight_eq; rewrite E; have := @t_neq0 k.+1; have := @t_neq0 k.+2; move=> h1 h2; field.
rewrite -(weight1 phi) -weightN -weightD -weightM; apply: weight_eq; rewrite E.
have := @t_neq0 k; have := @t_neq0 k.+2; rewrite T_recurrence => h1 h2; field; by split.
Qed.
Lemma further_errors k j omega : Qeq omega (Qdiv (Qmult (Qmult q2 sigma) (t j.+1)) (t j.+2)) ->
  (foldl (momentum_step a b p) (xs + error j, xs + error j.+1)
    (weights_of phi (map scaled (chebyshev_from lower upper k false omega)))).2 = xs + error (k + j.+1).
Proof.
elim: k j omega => [|k IH] j omega E //=.
rewrite step_error next_error // addSnnS; apply: IH.
exact: further_omega.
Qed.
Lemma first_error : xs + error 0 = x.
Proof.
have -> : error 0 = x - xs; last by rewrite addrC subrK.
by rewrite /error mul1mx (@weight_eq _ phi _ q1) // weight1 scale1r.
Qed.
Lemma second_error : shrunk *m error 0 = error 1.
Proof.
have -> : error 0 = x - xs by rewrite -first_error addrC addKr.
rewrite /error /TM /= /argument -scalemxAl scalerA -weightM (@weight_eq _ phi _ q1) ?weight1 ?scale1r //.
by rewrite Qmult_comm; apply: Qmult_inv_r; exact: (@t_neq0 1).
Qed.
Theorem chebyshev_error k :
  momentum_method a b p x (weights_of phi [seq scaled st | st <- chebyshev_steps lower upper k]) = xs + error k.
Proof.
rewrite /momentum_method -{1 2}first_error /chebyshev_steps; case: k => [|k] //=.
rewrite step_error weight1 subrr scale0r addr0 scale1r second_error -[k.+1]addn1.
exact: further_errors (first_omega lower_pos in_order).
Qed.
End Error.

(* The network, in every layout. *)
Theorem chebyshev_every_size (R : comRingType) (phi : scalars R) lay N D (a : nat -> 'cV[R]_D) b x_init n p lower upper xs k :
  (n < rows_of lay N)%N -> points_seen lay Causal N n = Some p -> Qlt q0 lower -> Qlt lower upper -> (0 < k)%N ->
  gram a p *m xs = moment a b p ->
  vec D (eval_specs phi Causal (rows_of lay N)
    (opening lay Causal ++ gram_layers D (accumulate lay) (spread_of lay) [seq scaled N st | st <- chebyshev_steps lower upper k])
    (named_input lay Causal N a b x_init)) n Fx - xs = error phi N a p lower upper x_init xs k.
Proof.
move=> nN seen_p lower_pos in_order k0 solution; case: k k0 => // k _.
rewrite [chebyshev_steps _ _ _]/= [map _ _]/= (@momentum_every_size R phi lay N D a b x_init n p nN seen_p).
have := chebyshev_error phi N x_init lower_pos in_order solution k.+1.
by rewrite [chebyshev_steps _ _ _]/= [map _ _]/= => ->; rewrite addrC addKr.
Qed.

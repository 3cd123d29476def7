(* BaseConv networks with literal rational weights, as they stand in a file, and what they compute.
   A layer is  y = Out( (filter * In u) . Gate u ): hidden channel h convolves one affine form of the channels along the
   rows and multiplies it by another; Out is affine. Rows count from 0, columns are binary numbers. *)
From Coq Require Import QArith.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat div seq choice fintype bigop ssralg zmodp matrix.
From Precls Require Import Scalars.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Close Scope Q_scope.
Local Open Scope ring_scope.

(* ---- data ---- *)
Record filter := Filter { head : seq Q; tail : Q }.           (* taps head[0], head[1], ..., then tail for ever *)
Definition tap (f : filter) (m : nat) : Q := nth (tail f) (head f) m.
Record form := Form { weights : seq (N * Q); const : Q }.     (* an affine form of the columns *)
Record hidden := Hidden { filt : filter; conv : form; gate : form }.
Record layer := Layer { units : seq hidden; out : seq form }.
Inductive mode := Causal | Circular.
Record network := Network {
  n_rows : nat;
  net_mode : mode;
  n_inputs : nat;
  positions : seq (nat * N * Q);                              (* row, column, constant added to the input *)
  layers : seq layer
}.
Definition depth (net : network) := size (layers net).
Definition width (L : layer) := size (units L).

Definition no_form := Form [::] q0.
Definition no_unit := Hidden (Filter [::] q0) no_form no_form.
Definition unit_at (L : layer) (h : N) : hidden := nth no_unit (units L) (N.to_nat h).

Definition delta := Filter [:: q1] q0.                        (* the identity *)
Definition prefix := Filter [::] q1.                          (* sum over the rows so far; over all rows if circular *)
Definition exclusive := Filter [:: q0] q1.                    (* sum over the rows strictly before *)
Definition midpoint := Filter [:: half] q1.                   (* mean of the two *)
Definition shift (lag : nat) := Filter (rcons (nseq lag q0) q1) q0.

(* ---- meaning ---- *)
Section Meaning.
Variables (R : comRingType) (phi : scalars R).
Definition rows := nat -> N -> R.                             (* row, column *)

Definition eval_form (l : form) (v : N -> R) : R := \sum_(e <- weights l) phi e.2 * v e.1 + phi (const l).

Section Rows.
Variables (md : mode) (N : nat).
(* The lag at which row n sees row m, if it does. *)
Definition lag (n m : nat) : option nat :=
  match md with
  | Causal => if (m <= n)%N then Some (n - m)%N else None
  | Circular => Some ((n + (N - m)) %% N)%N
  end.
Definition tap_at (f : filter) (n m : nat) : R := if lag n m is Some l then phi (tap f l) else 0.
Definition convolve (f : filter) (w : nat -> R) (n : nat) : R := \sum_(m < N) tap_at f n m * w m.
Definition eval_hidden (h : hidden) (u : rows) (n : nat) : R :=
  convolve (filt h) (fun m => eval_form (conv h) (u m)) n * eval_form (gate h) (u n).
Definition eval_layer (L : layer) (u : rows) : rows := fun n o =>
  eval_form (nth no_form (out L) (N.to_nat o)) (fun h => eval_hidden (unit_at L h) u n).
Definition eval_layers (Ls : seq layer) (u : rows) : rows := foldl (fun u L => eval_layer L u) u Ls.
End Rows.

Definition embed (ps : seq (nat * N * Q)) (u : rows) : rows := fun n c =>
  u n c + \sum_(p <- ps | (p.1.1 == n) && N.eqb p.1.2 c) phi p.2.
Definition eval (net : network) (u : rows) : rows :=
  eval_layers (net_mode net) (n_rows net) (layers net) (embed (positions net) u).

(* ---- what the filters do ---- *)
Lemma convolveE md N f w w' n : (forall m, (m < N)%N -> w m = w' m) -> convolve md N f w n = convolve md N f w' n.
Proof. by move=> E; apply: eq_bigr => m _; rewrite E. Qed.
Lemma convolve_sum md N I (r : seq I) f (w : I -> nat -> R) n :
  convolve md N f (fun m => \sum_(i <- r) w i m) n = \sum_(i <- r) convolve md N f (w i) n.
Proof. by rewrite /convolve exchange_big /=; apply: eq_bigr => m _; rewrite mulr_sumr. Qed.
Lemma convolve_scale md N f (w : nat -> R) k n : convolve md N f (fun m => k * w m) n = k * convolve md N f w n.
Proof. by rewrite mulr_sumr; apply: eq_bigr => m _; rewrite mulrCA. Qed.

Lemma lag_self md N n : (n < N)%N -> lag md N n n = Some 0%N.
Proof. by case: md => nN /=; [rewrite leqnn subnn | rewrite addnC subnK ?modnn // ltnW]. Qed.
Lemma lag_inj md N n m m' l : (n < N)%N -> (m < N)%N -> (m' < N)%N ->
  lag md N n m = Some l -> lag md N n m' = Some l -> m = m'.
Proof.
case: md => nN mN m'N /=.
  case: leqP => // mn [<-]; case: leqP => // m'n [] E.
  by apply/eqP; rewrite -(eqn_add2r (n - m)) subnKC // -E subnKC.
move=> [<-] [] /eqP; rewrite eqn_modDl; case: m mN => [|m] mN; case: m' m'N => [|m'] m'N //.
- by rewrite subn0 modnn modn_small ?ltn_subrL ?(leq_ltn_trans _ nN) // subn_eq0 leqNgt m'N.
- by rewrite subn0 modnn modn_small ?ltn_subrL ?(leq_ltn_trans _ nN) // eq_sym subn_eq0 leqNgt mN.
rewrite !modn_small ?ltn_subrL ?(leq_ltn_trans _ nN) // => /eqP E; apply/eqP.
by rewrite -(eqn_add2l (N - m.+1)) subnK ?(ltnW mN) // -E subnK // ltnW.
Qed.
Lemma tap_shift l k : tap (shift l) k = if k == l then q1 else q0.
Proof.
rewrite /tap /shift /= nth_rcons size_nseq nth_nseq; by case: ltngtP.
Qed.

Section Causal.
Variable N : nat.
Lemma causal_sum f w n : (n < N)%N ->
  convolve Causal N f w n = \sum_(m < n.+1) phi (tap f (n - m)) * w m.
Proof.
move=> nN; rewrite /convolve (big_ord_widen N (fun m => phi (tap f (n - m)) * w m)) // [RHS]big_mkcond /=.
by apply: eq_bigr => m _; rewrite /tap_at /= ltnS; case: leqP => _; rewrite ?mul0r.
Qed.
Lemma prefixE w n : (n < N)%N -> convolve Causal N prefix w n = \sum_(m < n.+1) w m.
Proof. by move=> nN; rewrite causal_sum //; apply: eq_bigr => m _; rewrite /tap nth_nil weight1 mul1r. Qed.
Lemma exclusiveE w n : (n < N)%N -> convolve Causal N exclusive w n = \sum_(m < n) w m.
Proof.
move=> nN; rewrite causal_sum // big_ord_recr /= subnn /tap /= weight0 mul0r addr0; apply: eq_bigr => m _.
by rewrite nth_default ?weight1 ?mul1r //= subn_gt0.
Qed.
Lemma midpointE w n : (n < N)%N -> convolve Causal N midpoint w n = \sum_(m < n) w m + phi half * w n.
Proof.
move=> nN; rewrite causal_sum // big_ord_recr /= subnn; congr (_ + _); apply: eq_bigr => m _.
by rewrite /tap nth_default ?weight1 ?mul1r //= subn_gt0.
Qed.
End Causal.

Lemma totalE N w n : convolve Circular N prefix w n = \sum_(m < N) w m.
Proof. by apply: eq_bigr => m _; rewrite /tap_at /= /tap nth_nil weight1 mul1r. Qed.

Lemma shiftE md N w n m l : (n < N)%N -> (m < N)%N -> lag md N n m = Some l -> convolve md N (shift l) w n = w m.
Proof.
move=> nN mN E; rewrite /convolve (bigD1 (Ordinal mN)) //= /tap_at E tap_shift eqxx weight1 mul1r big1 ?addr0 // => k ne.
case El: lag => [l'|]; last by rewrite mul0r.
rewrite tap_shift; case: eqP => [El'|]; last by rewrite weight0 mul0r.
by case/eqP: ne; apply/val_inj/(lag_inj nN _ mN El); rewrite ?El'.
Qed.
Lemma deltaE md N w n : (n < N)%N -> convolve md N delta w n = w n.
Proof. by move=> nN; exact: (@shiftE md N w n n 0 nN nN (lag_self md nN)). Qed.
End Meaning.

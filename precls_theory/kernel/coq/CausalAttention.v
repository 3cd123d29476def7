(* k steps of gradient descent in ceil(log3 k) + 1 blocks of causal linear attention, for every N, D and k. Rows 0, ..., N-1
   hold [a_n, b_n], row N holds x and the indicator [query]; a row sees itself and the rows before. The first block gathers
   P = 1 - s G and t = s c at row N and takes one step; each further one triples: P^3 and P^2 t + P t + t, and takes none, one
   or two of its steps, by the ternary digits of k - 1. *)
From Coq Require Import Lia.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat div seq choice fintype bigop ssralg zmodp matrix.
From Precls Require Import Descent Families.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Section Causal.
Variables (R : comRingType) (D : nat).
(* Channels of one row; [P] holds the matrix less the identity. *)
Record channels := Channels { a : 'cV[R]_D; b : R; x : 'cV[R]_D; query : R; P : 'M[R]_D; t : 'cV[R]_D }.
Definition rows := nat -> channels.
(* What a head adds at row n: the sum over the rows that it sees of score times value. *)
Notation attend n score value := (\sum_(m < n.+1) score m *: value m).
Notation dot v w := ((v^T *m w) 0 0).

Variable s : R.
Definition gather (u : rows) : rows := fun n => let v := u n in
  Channels (a v) (b v)
    (x v + attend n (fun m => dot (x v) (a (u m)) - query v * b (u m)) (fun m => - s *: a (u m)))
    (query v)
    (P v + \sum_(m < n.+1) \matrix_(i, j) (query v * a (u m) i 0 * (- s * a (u m) j 0)))
    (t v + attend n (fun m => query v * b (u m)) (fun m => s *: a (u m))).
(* The matrix of a row. *)
Definition whole (v : channels) : 'M[R]_D := P v + query v *: 1%:M.
Inductive digit := Zero | First | Second.
Definition digit_value (d : digit) : nat := match d with Zero => 0 | First => 1 | Second => 2 end.
(* A head for each i and j has the score (row i of P at n) . (column j of P at m); one for each i has (row i) . t or x. *)
Definition triple (d : digit) (u : rows) : rows := fun n => let v := u n in
  Channels (a v) (b v)
    (x v +
     match d with
     | Zero => 0
     | First => \sum_(m < n.+1) (query (u m) *: (whole v *m x (u m)) + (query v * query (u m)) *: (t (u m) - x (u m)))
     | Second => \sum_(m < n.+1) (whole v *m whole (u m) *m x (u m) + query (u m) *: (whole v *m t (u m)) +
                                  (query v * query (u m)) *: (t (u m) - x (u m)))
     end)
    (query v)
    (P v + \sum_(m < n.+1) (whole v *m whole (u m) *m whole (u m) - (query v * query (u m)) *: whole (u m)))
    (t v + \sum_(m < n.+1) (whole v *m whole (u m) *m t (u m) + query (u m) *: (whole v *m t (u m)))).
Definition run (ds : seq digit) (u : rows) : rows := foldl (fun u d => triple d u) (gather u) ds.

Variables (N : nat) (data_a : nat -> 'cV[R]_D) (data_b : nat -> R).
Definition input (x0 : 'cV[R]_D) : rows := fun n =>
  if (n < N)%N then Channels (data_a n) (data_b n) 0 0 0 0 else Channels 0 0 x0 1 0 0.
Definition empty v := [/\ x v = 0, query v = 0, P v = 0 & t v = 0].
(* Data rows stay as they are; row N holds a map of j steps and an x. *)
Definition holds (M : 'M[R]_D) (q y : 'cV[R]_D) (u : rows) :=
  (forall n, (n < N)%N -> empty (u n)) /\ [/\ query (u N) = 1, whole (u N) = M, t (u N) = q & x (u N) = y].
Notation gd := (gd data_a data_b s N).

Lemma dotC (v w : 'cV[R]_D) : dot v w = dot w v.
Proof. by rewrite !mxE; apply: eq_bigr => i _; rewrite !mxE mulrC. Qed.
Lemma gathered x0 : holds (1%:M - s *: gram data_a N) (s *: moment data_a data_b N) (gd x0) (gather (input x0)).
Proof.
have inN : input x0 N = Channels 0 0 x0 1 0 0 by rewrite /input ltnn.
have inm (m : 'I_N) : input x0 m = Channels (data_a m) (data_b m) 0 0 0 0 by rewrite /input ltn_ord.
split=> [n nN|].
  have inn : input x0 n = Channels (data_a n) (data_b n) 0 0 0 0 by rewrite /input nN.
  split; rewrite /gather inn //= add0r big1 // => m _; rewrite ?mul0r ?trmx0 ?mul0mx ?mxE ?subr0 ?scale0r //.
  by apply/matrixP => i j; rewrite !mxE !mul0r.
split; rewrite /gather ?/whole inN //= ?add0r big_ord_recr /= inN /=.
- rewrite (_ : \matrix_(i, j) _ = 0) ?addr0; last by apply/matrixP => i j; rewrite !mxE mulr0 mul0r.
  rewrite scale1r addrC; congr (_ + _); rewrite /gram scaler_sumr -sumrN; apply: eq_bigr => m _; rewrite inm /=.
  by apply/matrixP => i j; rewrite !mxE big_ord1 mul1r !mxE mulNr mulrN mulrCA.
- rewrite mulr0 scale0r addr0 /moment scaler_sumr; apply: eq_bigr => m _; rewrite inm /= mul1r.
  by rewrite !scalerA mulrC.
- rewrite !scaler0 addr0 /Descent.gd; congr (_ + _).
  have -> : gradient data_a data_b N x0 = \sum_(m < N) (((data_a m)^T *m x0) 0 0 - data_b m) *: data_a m.
    by rewrite -[RHS]opprK -sumrN -[gradient _ _ _ _]opprK opprB -residual_sum; congr (- _);
      apply: eq_bigr => m _; rewrite -scaleNr opprB.
  rewrite scaler_sumr -sumrN; apply: eq_bigr => m _; rewrite inm [LHS]/= mul1r scalerA mulrN scaleNr scalerA.
  by rewrite [s * _]mulrC dotC.
Qed.

Definition moved (M : 'M[R]_D) (q : 'cV[R]_D) (d : digit) (y : 'cV[R]_D) : 'cV[R]_D :=
  match d with Zero => y | First => M *m y + q | Second => M *m M *m y + M *m q + q end.
Lemma tripled M q y d u : holds M q y u ->
  holds (M *m M *m M) (M *m M *m q + M *m q + q) (moved M q d y) (triple d u).
Proof.
move=> [Hd [Eq EM Et Ex]].
have empty_row m : (m < N)%N -> [/\ whole (u m) = 0, query (u m) = 0, x (u m) = 0 & t (u m) = 0].
  by move=> mN; have [x0 q0 P0 t0] := Hd m mN; split=> //; rewrite /whole P0 q0 scale0r addr0.
split=> [n nN|].
  have [wn qn xn tn] := empty_row n nN; have [_ _ Pn _] := Hd n nN.
  have zero m : (m < n.+1)%N -> [/\ whole (u m) = 0, query (u m) = 0, x (u m) = 0 & t (u m) = 0].
    by move=> mn; apply: empty_row; rewrite (leq_trans mn).
  split; rewrite /triple /= ?qn ?xn ?Pn ?tn ?wn // add0r.
  - case: d => //; rewrite big1 // => m _; have [wm qm xm tm] := zero m (ltn_ord m);
    by rewrite ?wm ?xm ?qm ?tm ?mul0r ?mul0mx ?scale0r ?addr0.
  - by rewrite big1 // => m _; have [wm qm xm tm] := zero m (ltn_ord m); rewrite wm qm mul0r !mul0mx scale0r subr0.
  - by rewrite big1 // => m _; have [wm qm xm tm] := zero m (ltn_ord m); rewrite tm qm mulmx0 scale0r addr0.
have last_row (V : zmodType) (F : 'I_N.+1 -> V) : (forall m : 'I_N.+1, (m < N)%N -> F m = 0) -> \sum_(m < N.+1) F m = F ord_max.
  by move=> F0; rewrite (bigD1 ord_max) //= big1 ?addr0 // => m ne; apply: F0; rewrite ltn_neqAle -ltnS ltn_ord andbT.
split; rewrite ?[whole (triple _ _ _)]/whole /triple /= ?Eq //.
- rewrite last_row => [|m mN] /=; last first.
    by have [wm qm _ _] := empty_row m mN; rewrite wm qm !mulmx0 mulr0 scale0r subr0.
  have EP : P (u N) = M - 1%:M by rewrite -EM /whole Eq scale1r addrK.
  by rewrite EM EP Eq mulr1 !scale1r addrAC subrK addrC subrK.
- rewrite last_row => [|m mN] /=; last by have [wm qm _ ->] := empty_row m mN; rewrite qm mulmx0 scale0r addr0.
  by rewrite /= EM Et Eq scale1r addrC.
- case: d; first by rewrite addr0.
  + rewrite last_row => [|m mN] /=; last by have [_ -> _ _] := empty_row m mN; rewrite mulr0 !scale0r addr0.
    by rewrite /= EM Et Ex Eq mulr1 !scale1r addrC -addrA subrK.
  + rewrite last_row => [|m mN] /=; last first.
      by have [-> -> -> _] := empty_row m mN; rewrite mulmx0 mulr0 !scale0r !addr0.
    by rewrite /= EM Et Ex Eq mulr1 !scale1r addrC -[_ + y]addrA subrK.
Qed.

(* x -> M x + q taken three times. *)
Lemma represents_triple f j M q : @represents R D f j M q ->
  represents f (3 * j) (M *m M *m M) (M *m M *m q + M *m q + q).
Proof.
move=> H y; rewrite !mulSn mul0n addn0 !iterD -!H !mulmxDr !mulmxA -!addrA; congr (_ + _).
Qed.
(* Steps of the blocks behind the first, which begin with j each. *)
Fixpoint total (j : nat) (ds : seq digit) : nat := if ds is d :: ds then digit_value d * j + total (3 * j) ds else 0.
Lemma moved_steps f j M q d y : @represents R D f j M q -> moved M q d y = iter (digit_value d * j) f y.
Proof.
move=> H; case: d; rewrite /= ?mul1n ?H //.
by rewrite mulSn mul1n iterD -!H mulmxDr mulmxA.
Qed.
Lemma run_holds ds j M q y u : represents gd j M q -> holds M q y u ->
  x (foldl (fun u d => triple d u) u ds N) = iter (total j ds) gd y.
Proof.
elim: ds j M q y u => [|d ds IH] j M q y u rep H /=; first by case: H => _ [_ _ _ ->].
by rewrite (IH _ _ _ _ _ (represents_triple rep) (tripled d H)) (moved_steps _ _ rep) addnC iterD.
Qed.
Theorem causal_correct ds x0 : x (run ds (input x0) N) = iter (total 1 ds).+1 gd x0.
Proof. by rewrite /run (run_holds _ (@represents_gd R D data_a data_b s N) (gathered x0)) iterSr. Qed.
End Causal.

(* A number below 3^L has L ternary digits. *)
Theorem digits_exist L j k : (k < 3 ^ L)%N -> exists2 ds : seq digit, size ds = L & total j ds = (k * j)%N.
Proof.
elim: L j k => [|L IH] j k; first by rewrite ltnS leqn0 => /eqP ->; exists [::].
rewrite expnSr => lt; have lt' : (k %/ 3 < 3 ^ L)%N by rewrite ltn_divLR.
have [ds sz tot] := IH (3 * j)%N _ lt'.
have [d dk] : exists d, digit_value d = (k %% 3)%N.
  by have := ltn_pmod k (isT : 0 < 3)%N; case: (k %% 3)%N => [|[|[|]]] // _; [exists Zero | exists First | exists Second].
by exists (d :: ds); rewrite /= ?sz // dk tot mulnA -mulnDl addnC -divn_eq.
Qed.
(* One block, and one more for each ternary digit of k - 1: L + 1 of them for every k <= 3^L. *)
Theorem causal_descent L k : (0 < k)%N -> (k <= 3 ^ L)%N -> exists2 ds : seq digit, size ds = L &
  forall (R : comRingType) (s : R) N D (data_a : nat -> 'cV[R]_D) (data_b : nat -> R) x0,
  x (run s ds (input N data_a data_b x0) N) = iter k (gd data_a data_b s N) x0.
Proof.
case: k => // k _ le; have [ds sz tot] := digits_exist 1 le; exists ds => // R s N D data_a data_b x0.
by rewrite causal_correct tot muln1.
Qed.

(* k steps of gradient descent in ceil(log3(2k+1)) blocks of linear attention, for every N, D and k. N data rows [a_n, b_n] and
   one query row, which holds x; all rows see all rows. Families of channels: base = [a, b], x, power and sum. A head adds
   Q K^T V. After l blocks power = (P^d - 1) [A, b] and sum = 3^-l (S_(d+1) - P^d/2) [A, b] - [A, b]/2 at the data rows, with
   P = 1 - s A A^T, S_m = 1 + P + ... + P^(m-1) and d = (3^l - 1)/2. *)
From Coq Require Import Lia.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg zmodp matrix.
From Precls Require Import Descent Families.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Lemma arrange (V : zmodType) (t p u v : V) : t + t + t - p - ((t - u) + (t - v)) = t - p + v + u.
Proof.
rewrite opprD !opprB [u - t + _]addrACA -opprD addrCA [_ - p - _]addrAC [t + t + t]addrC addrK addrC -[RHS]addrA.
by rewrite [v + u]addrC.
Qed.

Lemma arrange_thrice (V : zmodType) (t q w z : V) :
  (t - q) + (t - q) + (t - q) + w - z = t + t + t - (q + q) - z - (q - w).
Proof.
rewrite [t - q + (t - q)]addrACA [t + t + _ + _]addrACA opprD opprB -!addrA; do 5 congr (_ + _).
by rewrite addrCA [RHS]addrCA; congr (_ + _); rewrite addrC.
Qed.
Arguments power : simpl never.
(* ---- powers of 1 - sK and their sums ---- *)
Section Powers.
Variables (R : comRingType) (N : nat) (sK : 'M[R]_N).
Definition P := 1%:M - sK.
Notation pow j := (power P j).
Definition geometric m : 'M[R]_N := \sum_(i < m) pow i.
Notation S := geometric.
Lemma pow_commutes j : pow j *m sK = sK *m pow j.
Proof.
have H : P *m sK = sK *m P by rewrite /P mulmxBl mulmxBr mul1mx mulmx1.
elim: j => [|j IH]; first by rewrite mul1mx mulmx1.
by rewrite /power !iterS -!/(power _ _) -mulmxA IH !mulmxA H.
Qed.
Lemma geometric_add m n : S (m + n) = S m + pow m *m S n.
Proof.
rewrite /S big_split_ord /=; congr (_ + _); rewrite mulmx_sumr.
by apply: eq_bigr => i _; rewrite powerD.
Qed.
Lemma geometric_succ m : S m.+1 = S m + pow m.
Proof. by rewrite /S big_ord_recr. Qed.
Lemma telescope m : sK *m S m = 1%:M - pow m.
Proof.
elim: m => [|m IH]; first by rewrite /S big_ord0 mulmx0 subrr.
rewrite geometric_succ mulmxDr IH -pow_commutes /power iterSr.
have -> : iter m (mulmx P) (P *m 1%:M) = pow m *m P.
  have := powerD P m 1; rewrite addn1 /power iterSr => ->.
  by rewrite /= mulmx1.
by rewrite /P mulmxBr mulmx1 opprB -addrA [- _ + _]addrC.
Qed.
Lemma geometric_commutes m : S m *m sK = sK *m S m.
Proof. by rewrite /S mulmx_suml mulmx_sumr; apply: eq_bigr => i _; exact: pow_commutes. Qed.
Lemma geometric_pow m j : S m *m pow j = pow j *m S m.
Proof. by rewrite /S mulmx_suml mulmx_sumr; apply: eq_bigr => i _; rewrite -!powerD addnC. Qed.
Hypothesis sym : sK^T = sK.
Lemma pow_sym j : (pow j)^T = pow j.
Proof.
elim: j => [|j IH]; first exact: trmx1.
rewrite /power iterS -/(power _ _) trmx_mul IH /P linearB /= trmx1 sym mulmxBl mulmxBr mul1mx mulmx1.
by rewrite pow_commutes.
Qed.
Lemma geometric_sym m : (S m)^T = S m.
Proof. by rewrite /S raddf_sum; apply: eq_bigr => i _; exact: pow_sym. Qed.

(* What a block makes of the data rows: from d to 3d + 1. *)
Variable d : nat.
Notation rest := (sK *m (S d + pow d *m S d.+1)).
Lemma next_power : pow d - rest *m pow d = pow (3 * d).+1.
Proof.
rewrite -geometric_add addnS telescope mulmxBl mul1mx opprB addrCA subrr addr0 -powerD.
by congr (power _ _); rewrite !mulSn mul0n addn0 addSn addnA.
Qed.
Lemma next_sum : S d.+1 + S d.+1 + S d.+1 - pow d - (rest + sK *m S d) *m S d.+1 = S (3 * d).+2.
Proof.
rewrite -geometric_add addnS !telescope mulmxDl !mulmxBl !mul1mx.
have -> : S (3 * d).+2 = S (d + d).+1 + pow (d + d).+1 *m S d.+1.
  rewrite -geometric_add; congr (S _); by rewrite !mulSn mul0n addn0 addSn addnS addnA.
have -> : S (d + d).+1 = S d.+1 - pow d + pow d *m S d.+1 by rewrite -addnS geometric_add geometric_succ addrK.
exact: arrange.
Qed.
End Powers.

(* ---- steps of gradient descent as sums of powers ---- *)
Section Steps.
Variables (R : comRingType) (N D : nat) (A : 'M[R]_(N, D)) (b : 'cV[R]_N) (s : R).
Notation sK := (s *: (A *m A^T)).
Notation S := (geometric sK).
Definition step (x : 'cV[R]_D) := x - s *: (A^T *m (A *m x - b)).
Lemma kernel_sym : sK^T = sK.
Proof. by rewrite linearZ /= trmx_mul trmxK. Qed.
Lemma residual_steps m x : A *m iter m step x - b = power (P sK) m *m (A *m x - b).
Proof.
elim: m => [|m IH]; first by rewrite mul1mx.
rewrite [power _ _]iterS -/(power _ _) -mulmxA -IH iterS /step /P mulmxBl mul1mx mulmxBr addrAC; congr (_ - _).
by rewrite -scalemxAr -scalemxAl mulmxA.
Qed.
Lemma many_steps m x : iter m step x = x - s *: (A^T *m (S m *m (A *m x - b))).
Proof.
elim: m => [|m IH]; first by rewrite /geometric big_ord0 mul0mx mulmx0 scaler0 subr0.
rewrite iterS -[LHS]/(iter m step x - s *: (A^T *m (A *m iter m step x - b))) residual_steps IH geometric_succ.
by rewrite [in RHS]mulmxDl [in RHS]mulmxDr [in RHS]scalerDr opprD addrA.
Qed.
End Steps.

(* ---- blocks of linear attention: every row sees every row ---- *)
Section Blocks.
Variables (R : comRingType) (N D : nat).
Notation rows k := 'M[R]_(N + 1, k).                          (* N data rows, then the query row *)
Definition attend h k (Q K : rows h) (V : rows k) : rows k := Q *m K^T *m V.
(* What keys and values see of the query row is zero. *)
Lemma attend_data h k (Qd : 'M[R]_(N, h)) (q : 'rV_h) (Kd : 'M_(N, h)) (Vd : 'M_(N, k)) :
  attend (col_mx Qd q) (col_mx Kd 0) (col_mx Vd 0) = col_mx (Qd *m Kd^T *m Vd) (q *m Kd^T *m Vd).
Proof. by rewrite /attend -!mulmxA tr_col_mx trmx0 mul_row_col mulmx0 addr0 mul_col_mx. Qed.

Variables (A : 'M[R]_(N, D)) (b : 'cV[R]_N) (s half third : R).
Hypotheses (half_half : half + half = 1) (thirds : third + third + third = 1).
(* The weights that read the channels of a alone. *)
Definition of_a : 'M[R]_(D + 1, D) := col_mx 1%:M 0.
Definition base : rows (D + 1) := col_mx (row_mx A b) 0.
Record channels := Channels { x : rows D; power_ : rows (D + 1); sum_ : rows (D + 1) }.
(* How many steps a block takes: none, d, 2d or 2d + 1. *)
Inductive advance := None_ | One | Two | TwoAndOne.
Definition steps_of (d : nat) (m : advance) : nat :=
  match m with None_ => 0 | One => d | Two => d + d | TwoAndOne => (d + d).+1 end.
(* Block l, with c = 3^l and r = 3^-l: W = P^d [A, b] and S = S_(d+1) [A, b] are affine in the channels. *)
Definition block (c r : R) (m : advance) (u : channels) : channels :=
  let W := base + power_ u in
  let S := c *: (sum_ u + half *: base) + half *: W in
  let Sd := S - W in
  let query := row_mx (x u) (const_mx (- 1)) in
  let moved := match m with
    | None_ => 0
    | One => attend query base (- s *: (Sd *m of_a))
    | Two => attend query (base + W) (- s *: (Sd *m of_a))
    | TwoAndOne => attend query base (- s *: (Sd *m of_a)) + attend query W (- s *: (S *m of_a)) end in
  let q := row_mx (base *m of_a) (W *m of_a) in
  Channels (x u + moved)
    (power_ u + attend q (row_mx (Sd *m of_a) (S *m of_a)) (- s *: W))
    (sum_ u + attend q (row_mx (Sd *m of_a) (S *m of_a)) ((s * (r * third) * half) *: W) +
     attend q (row_mx ((Sd + Sd) *m of_a) (S *m of_a)) (- (s * (r * third)) *: S)).
Fixpoint blocks (c r : R) (ms : seq advance) (u : channels) : channels :=
  if ms is m :: ms then blocks (c + c + c) (r * third) ms (block c r m u) else u.
Fixpoint total_steps (d : nat) (ms : seq advance) : nat :=
  if ms is m :: ms then steps_of d m + total_steps (3 * d).+1 ms else 0.

Notation K := (A *m A^T).
Notation sK := (s *: K).
Notation pow d := (power (P sK) d).
Notation Geo d := (geometric sK d).
Notation B := (row_mx A b).
Definition invariant (c r : R) (d : nat) (y : 'cV[R]_D) (u : channels) :=
  [/\ dsubmx (x u) = y^T, power_ u = col_mx ((pow d - 1%:M) *m B) 0
    & sum_ u = col_mx (r *: ((Geo d.+1 - half *: pow d) *m B) - half *: B) 0].

Lemma col_add k (X Y : 'M[R]_(N, k)) : col_mx X 0 + col_mx Y 0 = col_mx (X + Y) 0 :> rows k.
Proof. by rewrite add_col_mx addr0. Qed.
Lemma col_sub k (X Y : 'M[R]_(N, k)) : col_mx X 0 - col_mx Y 0 = col_mx (X - Y) 0 :> rows k.
Proof. by rewrite opp_col_mx oppr0 add_col_mx addr0. Qed.
Lemma col_scale k t (X : 'M[R]_(N, k)) : t *: col_mx X 0 = col_mx (t *: X) 0 :> rows k.
Proof. by rewrite scale_col_mx scaler0. Qed.
Lemma col_mul k l (X : 'M[R]_(N, k)) (W : 'M[R]_(k, l)) : (col_mx X 0 : rows k) *m W = col_mx (X *m W) 0.
Proof. by rewrite mul_col_mx mul0mx. Qed.
Lemma of_aE (M : 'M[R]_N) : M *m B *m of_a = M *m A.
Proof. by rewrite -mulmxA /of_a mul_row_col mulmx1 mulmx0 addr0. Qed.

Lemma row_col k l (X : 'M[R]_(N, k)) (Y : 'M[R]_(N, l)) : row_mx (col_mx X 0) (col_mx Y 0) = col_mx (row_mx X Y) 0 :> rows _.
Proof. by rewrite -block_mxEh /block_mx row_mx0. Qed.
Lemma attend_rows h k (Qd Kd : 'M[R]_(N, h)) (Vd : 'M[R]_(N, k)) :
  attend (col_mx Qd 0) (col_mx Kd 0) (col_mx Vd 0) = col_mx (Qd *m Kd^T *m Vd) 0.
Proof. by rewrite attend_data !mul0mx. Qed.
Let sym := kernel_sym A s.
Lemma baseE : base = col_mx (1%:M *m B) 0. Proof. by rewrite mul1mx. Qed.

Section Block.
Variables (c r : R) (d : nat) (y : 'cV[R]_D) (u : channels).
Hypotheses (cr : c * r = 1) (inv : invariant c r d y u).
Notation rest := (sK *m (Geo d + pow d *m Geo d.+1)).
Lemma W_is : base + power_ u = col_mx (pow d *m B) 0.
Proof. by case: inv => _ -> _; rewrite /base col_add mulmxBl mul1mx addrC subrK. Qed.
Lemma S_is : c *: (sum_ u + half *: base) + half *: (base + power_ u) = col_mx (Geo d.+1 *m B) 0.
Proof.
rewrite W_is; case: inv => _ _ ->; rewrite /base !col_scale col_add subrK col_scale scalerA cr scale1r col_add.
by rewrite mulmxBl -scalemxAl subrK.
Qed.
Lemma Sd_is : c *: (sum_ u + half *: base) + half *: (base + power_ u) - (base + power_ u) = col_mx (Geo d *m B) 0.
Proof. by rewrite S_is W_is col_sub -mulmxBl geometric_succ addrK. Qed.
Lemma score (M : 'M[R]_N) : M^T = M ->
  s *: (row_mx A (pow d *m A) *m (row_mx (M *m A) (Geo d.+1 *m A))^T) = sK *m (M + pow d *m Geo d.+1).
Proof.
move=> sM; rewrite tr_row_mx mul_row_col !trmx_mul sM (geometric_sym sym) scalerDr mulmxDr !mulmxA; congr (_ + _).
  by rewrite -!scalemxAl.
by rewrite -pow_commutes -!scalemxAr -!scalemxAl -!mulmxA.
Qed.
Lemma block_power m : power_ (block c r m u) = col_mx ((pow (3 * d).+1 - 1%:M) *m B) 0.
Proof.
rewrite /block /= Sd_is S_is W_is baseE !col_mul !of_aE mul1mx !row_col col_scale attend_rows.
case: inv => _ -> _; rewrite col_add; congr (col_mx _ 0).
rewrite -scalemxAr scaleNr [s *: (_ *m _ *m (_ *m B))]scalemxAl score ?(geometric_sym sym) // mulmxA -mulmxBl addrAC.
by rewrite next_power.
Qed.
Lemma block_sum m : sum_ (block c r m u) =
  col_mx ((r * third) *: ((Geo (3 * d).+2 - half *: pow (3 * d).+1) *m B) - half *: B) 0.
Proof.
rewrite /block /= Sd_is S_is W_is baseE col_add -mulmxDl !col_mul !of_aE mul1mx !row_col !col_scale !attend_rows.
case: inv => _ _ ->; rewrite !col_add; congr (col_mx _ 0).
set t := r * third; set Z := Geo d.+1 - half *: pow d.
have triple (Y : 'M[R]_N) : r *: (Y *m B) = t *: ((Y + Y + Y) *m B).
  by rewrite !mulmxDl !scalerDr -!scalerDl /t -!mulrDr thirds mulr1.
rewrite triple.
have E1 : row_mx A (pow d *m A) *m (row_mx (Geo d *m A) (Geo d.+1 *m A))^T *m ((s * t * half) *: (pow d *m B)) =
    t *: ((half *: (rest *m pow d)) *m B).
  rewrite -scalemxAr -mulrA [s * _]mulrC -scalerA [s *: (_ *m _ *m (_ *m B))]scalemxAl score ?(geometric_sym sym) //.
  by rewrite mulmxA -scalerA scalemxAl.
have E2 : row_mx A (pow d *m A) *m (row_mx ((Geo d + Geo d) *m A) (Geo d.+1 *m A))^T *m (- (s * t) *: (Geo d.+1 *m B)) =
    - (t *: (((rest + sK *m Geo d) *m Geo d.+1) *m B)).
  rewrite -scalemxAr scaleNr [s * _]mulrC -scalerA [s *: (_ *m _ *m (_ *m B))]scalemxAl score; last first.
    by rewrite linearD /= (geometric_sym sym).
  by rewrite mulmxA -addrA mulmxDr [sK *m Geo d + _]addrC.
rewrite E1 E2 [_ - half *: B + _]addrAC [_ - half *: B - _]addrAC; congr (_ - _).
rewrite -scalerDr -scalerBr -mulmxDl -mulmxBl; congr (_ *: (_ *m B)).
rewrite -next_sum -next_power /Z arrange_thrice -scalerBr.
by have -> : half *: pow d + half *: pow d = pow d by rewrite -scalerDl half_half scale1r.
Qed.

(* The query row: x takes the steps. *)
Lemma query_row k l (X : rows k) (Y : rows l) : dsubmx (row_mx X Y) = row_mx (dsubmx X) (dsubmx Y).
Proof. by apply/matrixP => i j; rewrite !mxE; case: split => j'; rewrite !mxE. Qed.
Lemma attend_query (X : rows D) (M1 M2 : 'M[R]_N) : M1^T = M1 -> M2^T = M2 -> dsubmx X = y^T ->
  dsubmx (attend (row_mx X (const_mx (- 1))) (col_mx (M1 *m B) 0) (col_mx (- s *: (M2 *m A)) 0)) =
  - (s *: (A^T *m (M2 *m M1 *m (A *m y - b))))^T.
Proof.
move=> sym1 sym2 E; rewrite -[row_mx X _]vsubmxK attend_data col_mxKd query_row E.
have -> : dsubmx (const_mx (- 1) : rows 1) = - 1%:M by apply/matrixP => i j; rewrite !ord1 !mxE.
rewrite mul_mx_row tr_row_mx mul_row_col !trmx_mul sym1 mulNmx mul1mx.
rewrite -scalemxAr scaleNr !linearZ /= !trmx_mul trmxK sym1 sym2 linearB /= trmx_mul.
by rewrite [y^T *m _]mulmxA -mulmxBl !mulmxA.
Qed.
Lemma block_x m : dsubmx (x (block c r m u)) = (iter (steps_of d m) (step A b s) y)^T.
Proof.
have [E _ _] := inv; have gs := geometric_sym sym; have ps := pow_sym sym.
rewrite /block [x _]/= Sd_is S_is W_is baseE !col_mul !of_aE !col_scale linearD /= E many_steps linearB /=; congr (_ + _).
case: m => /=.
- by rewrite /geometric big_ord0 mul0mx mulmx0 scaler0 trmx0 oppr0 linear0.
- by rewrite attend_query ?trmx1 // mulmx1.
- have s1 : (1%:M + pow d)^T = 1%:M + pow d by rewrite linearD /= trmx1 ps.
  by rewrite col_add -mulmxDl attend_query // geometric_add [Geo d *m (_ + _)]mulmxDr mulmx1 geometric_pow.
- rewrite linearD /= !attend_query ?trmx1 ?gs ?ps // mulmx1 -addnS geometric_add -geometric_pow -opprD -linearD /=.
  by rewrite -scalerDr -mulmxDr -mulmxDl.
Qed.
End Block.

Lemma block_correct c r d y u m : c * r = 1 -> invariant c r d y u ->
  invariant (c + c + c) (r * third) (3 * d).+1 (iter (steps_of d m) (step A b s) y) (block c r m u).
Proof. by move=> cr H; split; [exact: (block_x cr H) | exact: (block_power cr H) | exact: (block_sum cr H)]. Qed.
Lemma blocks_correct c r d y u ms : c * r = 1 -> invariant c r d y u ->
  dsubmx (x (blocks c r ms u)) = (iter (total_steps d ms) (step A b s) y)^T.
Proof.
elim: ms c r d y u => [|m ms IH] c r d y u cr H /=; first by case: H.
rewrite addnC iterD; apply: IH (block_correct m cr H).
by rewrite mulrA [_ * r]mulrC !mulrDr !(mulrC r) cr -[RHS]thirds !mulrDl !mul1r.
Qed.
(* The scratch channels start at zero. *)
Theorem ternary_correct ms (X : rows D) : let y := (dsubmx X)^T in
  dsubmx (x (blocks 1 1 ms (Channels X 0 0))) = (iter (total_steps 0 ms) (step A b s) y)^T.
Proof.
apply: blocks_correct; first exact: mulr1.
split; rewrite ?trmxK //=; first by rewrite subrr mul0mx col_mx0.
rewrite /geometric big_ord1 scale1r mulmxBl mul1mx -scalemxAl mul1mx.
have -> : B - half *: B - half *: B = 0 by rewrite -addrA -opprD -scalerDl half_half scale1r subrr.
by rewrite col_mx0.
Qed.
End Blocks.

(* How far l blocks reach, and every k within reach has its blocks, the last one first. *)
Lemma total_rcons d ms m : total_steps d (rcons ms m) = (total_steps d ms + steps_of (iter (size ms) (fun d => (3 * d).+1) d) m)%N.
Proof. by elim: ms d => [|m' ms IH] d /=; rewrite ?addn0 // IH addnA -iterSr. Qed.
Definition reach L := iter L (fun d => (3 * d).+1) 0%N.
Lemma reachE L : (2 * reach L + 1 = 3 ^ L)%N.
Proof. by elim: L => //= L IH; rewrite expnS -IH /reach /= -/(reach L) -!plusE -!multE; lia. Qed.
(* Every k with 2k + 1 <= 3^L takes L blocks. *)
Theorem schedule_exists L k : (2 * k + 1 <= 3 ^ L)%N -> exists2 ms : seq advance, size ms = L & total_steps 0 ms = k.
Proof.
rewrite -reachE leq_add2r leq_mul2l /=; elim: L k => [|L IH] k; first by rewrite leqn0 => /eqP ->; exists [::].
rewrite [reach _]/= -/(reach L) => le.
have take m : (steps_of (reach L) m <= k)%N -> (k - steps_of (reach L) m <= reach L)%N ->
    exists2 ms : seq advance, size ms = L.+1 & total_steps 0 ms = k.
  move=> low high; have [ms sz tot] := IH _ high; exists (rcons ms m); first by rewrite size_rcons sz.
  by rewrite total_rcons sz tot -/(reach L) subnK.
have [k1|k1] := leqP k (reach L); first by apply: (take None_); rewrite /= ?subn0.
have [k2|k2] := leqP k (reach L + reach L); first by apply: (take One) => /=; [exact: ltnW | rewrite leq_subLR].
have [k3|k3] := leqP k (reach L + reach L + reach L); first by apply: (take Two) => /=; [exact: ltnW | rewrite leq_subLR].
apply: (take TwoAndOne) => //=; rewrite leq_subLR addSn; apply: leq_trans le _.
by rewrite !mulSn mul0n addn0 addnA.
Qed.

(* k steps of gradient descent in L blocks, as soon as 2k + 1 <= 3^L: which is also necessary (linear_attention_lower_bound).
   One schedule for all data. *)
Theorem ternary_descent L k : (2 * k + 1 <= 3 ^ L)%N -> exists2 ms : seq advance, size ms = L &
  forall (R : comRingType) (half third s : R) N D (a : nat -> 'cV[R]_D) (b : nat -> R) (x0 : 'cV[R]_D),
  half + half = 1 -> third + third + third = 1 ->
  let A : 'M[R]_(N, D) := \matrix_(n, i) a n i 0 in
  let query : 'M[R]_(N + 1, D) := col_mx 0 x0^T in
  (dsubmx (x (blocks A (\col_n b n) s half third 1 1 ms (Channels query 0 0))))^T = iter k (gd a b s N) x0.
Proof.
move=> /schedule_exists[ms sz tot]; exists ms => // R half third s N D a b x0 hh tt A query.
rewrite (ternary_correct A (\col_n b n) s hh tt ms query) trmxK col_mxKd trmxK tot; apply: eq_iter => x1.
have Ea (n : 'I_N) : a n = (row n A)^T by apply/matrixP => i j; rewrite ord1 !mxE.
have Eb (n : 'I_N) : b n = (\col_(n < N) b n) n 0 by rewrite mxE.
by rewrite /step /gd /gradient (gram_matrix Ea) (moment_matrix Ea Eb) mulmxBr mulmxA.
Qed.

(* Certificates of saved networks of linear attention: what they claim, the checker, and that it is sound. As in Decode, a
   generated file adds a list of integers, and nothing that it contains can change the statement. *)
From Coq Require Import QArith ZArith.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg zmodp matrix.
From Precls Require Import Scalars Network NormalForm Descent Families Layouts Algorithms Certificate Soundness Decode.
From Precls Require LinearAttention Ternary CausalAttention.
From Precls Require Import Attention AttentionModels.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Close Scope Q_scope.
Local Open Scope ring_scope.

(* ---- what is claimed ---- *)
(* One step a layer, with x in channels of its own or in those of a; the ternary and the causal form. *)
Inductive attention_form := OneStep | OneStepE | TernaryForm | CausalForm.
Definition own_x form := if form is OneStepE then false else true.
Definition result form : family := if own_x form then Fx else Fa.
Definition matrix_names D f : seq chan := [seq (f, i, j) | i <- iota 0 D, j <- iota 0 D].
(* The channels, in the order of the columns: data, x and what starts at zero. *)
Definition attention_names form D : seq chan :=
  vector_names D Fa ++ ch Fb 0 :: match form with
  | OneStep => vector_names D Fx
  | OneStepE => [::]
  | TernaryForm => vector_names D Fx ++ vector_names (D + 1) FW ++ vector_names (D + 1) Fv
  | CausalForm => vector_names D Fx ++ query :: matrix_names D FP ++ vector_names D Fc
  end.
(* The causal form marks the last row. *)
Definition marked_positions form N D : seq (nat * BinNums.N * Q) :=
  if form is CausalForm then [:: (N, N.of_nat (seq.index query (attention_names form D)), q1)] else [::].
Section Input.
Variables (R : comRingType) (form : attention_form) (N D : nat) (a : nat -> 'cV[R]_D) (b : nat -> R) (x0 : 'cV[R]_D).
(* N data rows [a_n, b_n], and x in row N. *)
Definition given_rows : named R := fun n c =>
  match c with
  | (Fa, i, 0%N) => if (n < N)%N then coordinate (a n) i else if ~~ own_x form && (n == N) then coordinate x0 i else 0
  | (Fb, 0%N, 0%N) => if (n < N)%N then b n else 0
  | (Fx, i, 0%N) => if own_x form && (n == N) then coordinate x0 i else 0
  | _ => 0
  end.
Definition marked : named R := fun n c =>
  given_rows n c + (if form is CausalForm then ((c == query) && (n == N))%:R else 0).
End Input.
Record attention_file := AttentionFile {
  claimed_form : attention_form;
  claimed_points : nat;
  claimed_dims : nat;
  claimed_steps : positive;
  claimed_step_size : Q;
  stored_names : seq chan;
  stored_inputs : nat;                                        (* how many of them are given; the others start at zero *)
  stored_network : attention;
  stored_columns : seq N
}.
(* The result in row N: k steps of gradient descent on all data points. *)
Definition attention_statement (f : attention_file) : Prop :=
  let N := claimed_points f in let D := claimed_dims f in
  forall (R : comRingType) (phi : scalars R) (a : nat -> 'cV[R]_D) b x0,
  \col_(i < D) eval_attention phi (stored_network f)
    (by_columns (attention_names (claimed_form f) D) (given_rows (claimed_form f) N a b x0)) N
    (nth 0%coqN (stored_columns f) i) =
  iter (Pos.to_nat (claimed_steps f)) (gd a b (phi (per_point (claimed_step_size f) N)) N) x0.

(* ---- the layers that it should have ---- *)
Fixpoint reachN (l : nat) : BinNums.N := if l is l.+1 then N.succ (N.mul 3 (reachN l)) else 0%coqN.
Definition stepsN (d : BinNums.N) (m : Ternary.advance) : BinNums.N :=
  match m with
  | Ternary.None_ => 0%coqN | Ternary.One => d | Ternary.Two => N.add d d | Ternary.TwoAndOne => N.succ (N.add d d)
  end.
Fixpoint total_stepsN (d : BinNums.N) (ms : seq Ternary.advance) : BinNums.N :=
  if ms is m :: ms then N.add (stepsN d m) (total_stepsN (N.succ (N.mul 3 d)) ms) else 0%coqN.
(* The smallest advance that leaves no more than the layers before can do. *)
Fixpoint schedule (l : nat) (k : BinNums.N) : seq Ternary.advance :=
  if l is l.+1 then
    let d := reachN l in
    let fits m := N.leb (N.sub k (stepsN d m)) d in
    let m := if fits Ternary.None_ then Ternary.None_ else if fits Ternary.One then Ternary.One
             else if fits Ternary.Two then Ternary.Two else Ternary.TwoAndOne in
    rcons (schedule l (N.sub k (stepsN d m))) m
  else [::].
Fixpoint digits (l : nat) (k : BinNums.N) : seq CausalAttention.digit :=
  if l is l.+1 then
    (match N.modulo k 3 with 0%coqN => CausalAttention.Zero | 1%coqN => CausalAttention.First | _ => CausalAttention.Second end)
      :: digits l (N.div k 3)
  else [::].
Definition digitN (d : CausalAttention.digit) : BinNums.N :=
  match d with CausalAttention.Zero => 0%coqN | CausalAttention.First => 1%coqN | CausalAttention.Second => 2%coqN end.
Fixpoint totalN (j : BinNums.N) (ds : seq CausalAttention.digit) : BinNums.N :=
  if ds is d :: ds then N.add (N.mul (digitN d) j) (totalN (N.mul 3 j) ds) else 0%coqN.
Definition third : Q := Qmake 1 3.
Fixpoint ternary_updates (D : nat) (s c r : Q) (ms : seq Ternary.advance) : seq update :=
  if ms is m :: ms then
    ternary_update D s c r third m :: ternary_updates D s (Qplus (Qplus c c) c) (Qmult r third) ms
  else [::].
(* In the first layer what starts at zero is not written down. *)
Definition starts_at_zero (c : option chan) : bool := if c is Some (FW, _, _) then true else if c is Some (Fv, _, _) then true else false.
Definition without_zeros (l : lin) : lin := [seq t <- l | ~~ starts_at_zero t.2].
Definition first_update (U : update) : update := fun c =>
  [seq ([seq (without_zeros p.1, without_zeros p.2) | p <- h.1], without_zeros h.2) | h <- U c].
Definition all_ternary_updates (D : nat) (s : Q) (ms : seq Ternary.advance) : seq update :=
  if ternary_updates D s q1 q1 ms is U :: Us then first_update U :: Us else [::].
Definition updates_of form (md : mask) (N D : nat) (k : positive) (eta : Q) (L : nat) : option (seq update) :=
  let s := per_point eta N in
  match form, md with
  | OneStep, _ => if N.eqb (Npos k) (N.of_nat L) then Some (nseq L (step_update D s Fx)) else None
  | OneStepE, Strict => if Pos.eqb k 1 then Some [:: step_update D s Fa] else None
  | TernaryForm, Full =>
      let ms := schedule L (Npos k) in
      if N.eqb (total_stepsN 0 ms) (Npos k) then Some (all_ternary_updates D s ms) else None
  | CausalForm, CausalMask =>
      let ds := digits L.-1 (N.pred (Npos k)) in
      if N.eqb (N.succ (totalN 1 ds)) (Npos k) then Some (gather_update D s :: map (triple_update D) ds) else None
  | _, _ => None
  end.
Definition check_attention (f : attention_file) : bool :=
  let net := stored_network f in let form := claimed_form f in let N := claimed_points f in let D := claimed_dims f in
  let names := attention_names form D in
  [&& N != 0%N, attention_rows net == (N + 1)%N, stored_names f == names,
      stored_inputs f == (D + 1 + (if own_x form then D else 0))%N, uniq names,
      (if form is CausalForm then query \in names else true),
      same_positions (attention_positions net) (marked_positions form N D),
      map (column names) (stored_columns f) == map Some (vector_names D (result form)) &
      if updates_of form (attention_mask net) N D (claimed_steps f) (claimed_step_size f) (size (attention_layers net))
        is Some Us then check_layers names (attention_layers net) Us (stored_columns f) != None else false].

(* ---- counting ---- *)
Arguments N.mul _ _ : simpl never.
Arguments N.add _ _ : simpl never.
Arguments N.succ _ : simpl never.
Lemma stepsNE d m : N.to_nat (stepsN d m) = Ternary.steps_of (N.to_nat d) m.
Proof. by case: m => //=; rewrite ?Nnat.N2Nat.inj_succ Nnat.N2Nat.inj_add. Qed.
Lemma total_stepsNE d ms : N.to_nat (total_stepsN d ms) = Ternary.total_steps (N.to_nat d) ms.
Proof.
elim: ms d => //= m ms IH d.
by rewrite Nnat.N2Nat.inj_add IH stepsNE Nnat.N2Nat.inj_succ Nnat.N2Nat.inj_mul.
Qed.
Lemma totalNE j ds : N.to_nat (totalN j ds) = CausalAttention.total (N.to_nat j) ds.
Proof.
elim: ds j => //= d ds IH j.
by rewrite Nnat.N2Nat.inj_add IH !Nnat.N2Nat.inj_mul; case: d.
Qed.

(* ---- what the layers compute ---- *)
Section Correct.
Variables (R : comRingType) (phi : scalars R) (N D : nat) (a : nat -> 'cV[R]_D) (b : nat -> R) (x0 : 'cV[R]_D).
Implicit Types (v : named R).
Lemma marked_a form n : vec D (marked form N a b x0) n Fa =
  if (n < N)%N then a n else if ~~ own_x form && (n == N) then x0 else 0.
Proof.
apply: vectorP => i; rewrite vecE /marked [X in _ + X](_ : _ = 0) ?addr0; last by case: form.
by rewrite /=; case: ifP => _; rewrite ?coordinateE //; case: ifP => _; rewrite ?coordinateE // mxE.
Qed.
Lemma marked_b form n : marked form N a b x0 n (ch Fb 0) = if (n < N)%N then b n else 0.
Proof. by rewrite /marked [X in _ + X](_ : _ = 0) ?addr0 //; case: form. Qed.
Lemma marked_x form n : vec D (marked form N a b x0) n Fx = if own_x form && (n == N) then x0 else 0.
Proof.
apply: vectorP => i; rewrite vecE /marked [X in _ + X](_ : _ = 0) ?addr0; last by case: form.
by rewrite /=; case: ifP => _; rewrite ?coordinateE // mxE.
Qed.

(* one step a layer *)
Definition has_data v := forall m, (m < N)%N -> vec D v m Fa = a m /\ v m (ch Fb 0) = b m.
Lemma one_step md s f v : (sees md N N -> vec D v N Fa = 0) -> has_data v ->
  vec D (eval_update phi md (N + 1) (step_update D s f) v) N f = gd a b (phi s) N (vec D v N f).
Proof.
move=> own data; rewrite step_updateE LinearAttention.step_correct //; last by case: md {own} => m mN //=; exact: ltnW.
apply: gd_ext; rewrite /gram /moment; apply: eq_bigr => m _; have [Ea Eb] := data m (ltn_ord m); by rewrite ?Ea ?Eb.
Qed.
Lemma many_steps md s k v : vec D v N Fa = 0 -> has_data v ->
  vec D (eval_updates phi md (N + 1) (nseq k (step_update D s Fx)) v) N Fx = iter k (gd a b (phi s) N) (vec D v N Fx).
Proof.
elim: k v => //= k IH v own data; rewrite IH.
- by rewrite one_step // -iterSr.
- by rewrite -own; apply: vectorP => i; rewrite !mxE /eval_update /= big_nil addr0.
- move=> m mN; have [<- <-] := data m mN; rewrite /eval_update /= big_nil addr0; split=> //.
  by apply: vectorP => i; rewrite !mxE /eval_update /= big_nil addr0.
Qed.

(* the ternary form *)
Arguments ternary_update : simpl never.
Arguments third : simpl never.
Lemma ternary_blocks A t s c r ms v : base_of phi N D v = Ternary.base A t ->
  state phi N D (eval_updates phi Full (N + 1) (ternary_updates D s c r ms) v) =
  Ternary.blocks A t (phi s) (phi half) (phi third) (phi c) (phi r) ms (state phi N D v).
Proof.
elim: ms c r v => //= m ms IH c r v H.
rewrite IH; last exact: (base_kept _ _ _ _ H).
by rewrite (ternary_updateE _ _ _ _ H) !weightD weightM.
Qed.
Lemma thirds : phi third + phi third + phi third = 1.
Proof. by rewrite -!weightD -(weight1 phi); apply: weight_eq. Qed.
Notation A := (\matrix_(n, i) a n i 0 : 'M[R]_(N, D)).
Lemma marked_base : base_of phi N D (marked TernaryForm N a b x0) = Ternary.base A (\col_n b n).
Proof.
apply/matrixP => n j; rewrite /base_of rows_asE /base /Ternary.base [RHS]mxE; case: (splitP n) => n' En.
  rewrite [RHS]mxE; case: (splitP j) => j' Ej; rewrite at_var.
    by rewrite Ej -vecE marked_a En ltn_ord mxE.
  by rewrite marked_b En ltn_ord mxE.
rewrite mxE; case: ifP => jD; rewrite at_var En.
  by rewrite -[ch Fa j]/(ch Fa (Ordinal jD)) -vecE marked_a ltnNge leq_addr mxE.
by rewrite marked_b ltnNge leq_addr.
Qed.
Lemma first_updateE U v n c : (forall m d, starts_at_zero (Some d) -> v m d = 0) ->
  eval_update phi Full (N + 1) (first_update U) v n c = eval_update phi Full (N + 1) U v n c.
Proof.
move=> zero; have E m l : eval_lin phi v m (without_zeros l) = eval_lin phi v m l.
  rewrite /eval_lin big_filter big_mkcond; apply: eq_bigr => -[q [d|]] _ //.
  by case: ifP => // /negbFE z; rewrite /= (zero m d z) mulr0.
rewrite /eval_update big_map; congr (_ + _); apply: eq_bigr => h _; rewrite /eval_attended; apply: eq_bigr => m _.
by rewrite /= E big_map; congr (_ * _); apply: eq_bigr => p _; rewrite /= !E.
Qed.
Lemma all_ternary_blocks s ms : let v := marked TernaryForm N a b x0 in
  state phi N D (eval_updates phi Full (N + 1) (all_ternary_updates D s ms) v) =
  Ternary.blocks A (\col_n b n) (phi s) (phi half) (phi third) (phi q1) (phi q1) ms (state phi N D v).
Proof.
move=> v; rewrite -(ternary_blocks s q1 q1 ms marked_base) -/v; case: ms => //= m ms.
set U := ternary_update _ _ _ _ _ _.
have E n c : eval_update phi Full (N + 1) (first_update U) v n c = eval_update phi Full (N + 1) U v n c.
  by apply: first_updateE => k [[[] i] j] //= _; rewrite /v /marked /= addr0; case: j.
have base : base_of phi N D (eval_update phi Full (N + 1) U v) = Ternary.base A (\col_n b n) := base_kept _ _ _ _ marked_base _.
have base' : base_of phi N D (eval_update phi Full (N + 1) (first_update U) v) = Ternary.base A (\col_n b n).
  by rewrite -base; apply/matrixP => n j; rewrite !rows_asE /AttentionModels.base !at_var E.
rewrite (ternary_blocks _ _ _ _ base) (ternary_blocks _ _ _ _ base'); congr Ternary.blocks.
by rewrite /state; congr Ternary.Channels; apply/matrixP => n j; rewrite !rows_asE !at_var E.
Qed.
Lemma ternary_result s ms :
  vec D (eval_updates phi Full (N + 1) (all_ternary_updates D s ms) (marked TernaryForm N a b x0)) N Fx =
  iter (Ternary.total_steps 0 ms) (gd a b (phi s) N) x0.
Proof.
set v := marked TernaryForm N a b x0; set w := eval_updates _ _ _ _ _.
have lastE (v' : named R) : vec D v' N Fx = (dsubmx (Ternary.x (state phi N D v')))^T.
  by apply: vectorP => i; rewrite vecE !mxE at_var /= addn0.
have start : state phi N D v = Ternary.Channels (Ternary.x (state phi N D v)) 0 0.
  by rewrite /state; congr Ternary.Channels; apply/matrixP => n j; rewrite rows_asE at_var mxE /v /marked /= addr0.
rewrite lastE all_ternary_blocks -/v start !weight1.
rewrite (Ternary.ternary_correct _ _ _ (half_half phi) thirds) trmxK -lastE marked_x eqxx.
apply: eq_iter => x1.
have Ea (n : 'I_N) : a n = (row n A)^T by apply/matrixP => i j; rewrite ord1 !mxE.
have Eb (n : 'I_N) : b n = (\col_(n < N) b n) n 0 by rewrite mxE.
by rewrite /Ternary.step /gd /gradient (gram_matrix Ea) (moment_matrix Ea Eb) mulmxBr mulmxA.
Qed.

(* the causal form *)
Lemma gather_ext s (u u' : CausalAttention.rows R D) n : (forall m, (m <= n)%N -> u m = u' m) ->
  CausalAttention.gather s u n = CausalAttention.gather s u' n.
Proof.
move=> E; rewrite /CausalAttention.gather E //; congr CausalAttention.Channels; congr (_ + _);
  by apply: eq_bigr => m _; rewrite E // -ltnS.
Qed.
Lemma triple_ext d (u u' : CausalAttention.rows R D) n : (forall m, (m <= n)%N -> u m = u' m) ->
  CausalAttention.triple d u n = CausalAttention.triple d u' n.
Proof.
move=> E; rewrite /CausalAttention.triple E //; congr CausalAttention.Channels; congr (_ + _);
  case: d => //; by apply: eq_bigr => m _; rewrite E // -ltnS.
Qed.
Lemma causal_run ds v u : (forall n, (n <= N)%N -> row_of D v n = u n) ->
  row_of D (eval_updates phi CausalMask (N + 1) (map (triple_update D) ds) v) N =
  foldl (fun u d => CausalAttention.triple d u) u ds N.
Proof.
elim: ds v u => [|d ds IH] v u E /=; first exact: E.
apply: IH => n nN; rewrite triple_updateE //; apply: triple_ext => m mn; apply: E; exact: leq_trans mn nN.
Qed.
Lemma causal_result s ds :
  vec D (eval_updates phi CausalMask (N + 1) (gather_update D s :: map (triple_update D) ds) (marked CausalForm N a b x0)) N Fx =
  iter (CausalAttention.total 1 ds).+1 (gd a b (phi s) N) x0.
Proof.
rewrite -(CausalAttention.causal_correct (phi s) N a b) /CausalAttention.run.
set v := marked _ _ _ _ _.
rewrite -[LHS]/(CausalAttention.x (row_of D (eval_updates phi CausalMask (N + 1) (map (triple_update D) ds)
  (eval_update phi CausalMask (N + 1) (gather_update D s) v)) N)).
congr CausalAttention.x; apply: causal_run => n nN.
rewrite gather_updateE //; apply: gather_ext => m mn.
have bE : v m (ch Fb 0) = if (m < N)%N then b m else 0 := marked_b CausalForm m.
have {n nN mn}mN : (m <= N)%N := leq_trans mn nN.
have P0 : full D v m FP = 0 by apply/matrixP => i j; rewrite !mxE /v /marked /= addr0.
have t0 : vec D v m Fc = 0 by apply: vectorP => i; rewrite !mxE /v /marked /= addr0.
have q : v m query = (m == N)%:R by rewrite /v /marked /= add0r.
by rewrite /row_of /CausalAttention.input marked_a marked_x bE P0 t0 q /=; case: ltngtP mN.
Qed.

Theorem updates_correct form md k eta L Us : updates_of form md N D k eta L = Some Us ->
  vec D (eval_updates phi md (N + 1) Us (marked form N a b x0)) N (result form) =
  iter (Pos.to_nat k) (gd a b (phi (per_point eta N)) N) x0.
Proof.
have data form' : has_data (marked form' N a b x0).
  by move=> m mN; rewrite marked_a marked_b mN.
have steps : Pos.to_nat k = N.to_nat (Npos k) by [].
case: form; rewrite /updates_of.
- case E: N.eqb => // -[<-]; move/N.eqb_eq: E => E.
  by rewrite many_steps ?marked_a ?ltnn // marked_x eqxx steps E Nnat.Nat2N.id.
- case: md => //; case E: Pos.eqb => // -[<-]; move/Pos.eqb_eq: E => ->.
  by rewrite [LHS]one_step ?marked_a /= ?ltnn ?eqxx.
- case: md => //; case E: N.eqb => // -[<-]; move/N.eqb_eq: E => E.
  by rewrite ternary_result steps -[in RHS]E total_stepsNE.
- case: md => //; case E: N.eqb => // -[<-]; move/N.eqb_eq: E => E.
  by rewrite causal_result steps -[in RHS]E Nnat.N2Nat.inj_succ totalNE.
Qed.

Lemma columnP names c x : column names c = Some x -> (N.to_nat c < size names)%N /\ nth x names (N.to_nat c) = x.
Proof.
rewrite /column; case: (ltnP (N.to_nat c) (size names)) => [lt|le]; last by rewrite nth_default // size_map.
by rewrite (nth_map x) // => -[].
Qed.
Lemma marked_follows form live : uniq (attention_names form D) ->
  (if form is CausalForm then query \in attention_names form D else true) ->
  follows (N + 1) (attention_names form D) live
    (embed phi (marked_positions form N D) (by_columns (attention_names form D) (given_rows form N a b x0)))
    (marked form N a b x0).
Proof.
move=> un mem n c x _ _ E; rewrite /embed /by_columns E /marked; congr (_ + _).
case: form un mem E; rewrite /marked_positions ?big_nil // => un mem /columnP[lt Ex].
rewrite big_mkcond big_seq1 [_.1.1 == n]eq_sym /= weight1.
have -> : N.eqb (N.of_nat (seq.index query (attention_names CausalForm D))) c = (x == query).
  apply/idP/eqP => [/N.eqb_eq Ec|xq].
    by rewrite -Ex -Ec Nnat.Nat2N.id nth_index.
  by apply/N.eqb_eq; rewrite -xq -Ex index_uniq // Nnat.N2Nat.id.
by rewrite andbC; case: (_ && _).
Qed.
End Correct.

(* ---- the checker proves the statement ---- *)
Theorem check_attention_sound f : check_attention f -> attention_statement f.
Proof.
case: f => form N D k eta stored inputs [rows md positions layers] columns.
rewrite /check_attention /attention_statement /=; case/and5P=> _ /eqP -> _ _ /and4P[un mem /same_positionsP -> /andP[/eqP cols]].
case E: updates_of => [Us|] //; case El: check_layers => [live|] // _ R phi a b x0.
rewrite -(updates_correct phi a b x0 E); apply: vectorP => i; rewrite mxE vecE /eval_attention /=.
have sz : size columns = D by rewrite -(size_map (column (attention_names form D))) cols size_map size_vector_names.
have follow := check_layersP phi md El (marked_follows phi a b x0 (live := live) un mem).
apply: follow; first by rewrite addn1.
  by apply/hasP; exists (nth 0%coqN columns i); [rewrite mem_nth ?sz | exact/N.eqb_eq].
have := congr1 (fun s => nth None s i) cols.
by rewrite (nth_map 0%coqN) ?sz // (nth_map (ch Fnone 0)) ?size_vector_names // nth_vector_names.
Qed.

(* ---- a file as a list of integers ---- *)
Definition an_attention_form := choice [:: OneStep; OneStepE; TernaryForm; CausalForm].
Definition a_mask := choice [:: Full; CausalMask; Strict].
Definition a_value : parser (BinNums.N * form) := do c <- index; do l <- a_form; ret (c, l).
Definition a_head : parser head :=
  do qs <- list_of a_form; do ks <- list_of a_form; do vs <- list_of a_value; ret (Head qs ks vs).
Definition an_attention_file : parser attention_file :=
  do form <- an_attention_form; do N <- count; do D <- count; do k <- positive_; do eta <- fraction;
  do rows <- count; do md <- a_mask; do names <- list_of a_name; do inputs <- count; do positions <- list_of a_position;
  do layers <- list_of (list_of a_head); do columns <- list_of index;
  ret (AttentionFile form N D k eta names inputs (Attention rows md positions layers) columns).
Definition decode_attention (s : stream) : option attention_file :=
  if an_attention_file s is Some (f, [::]) then Some f else None.
Definition attention_certified (s : stream) : Prop :=
  if decode_attention s is Some f then attention_statement f else False.
Definition attention_checks (s : stream) : bool := if decode_attention s is Some f then check_attention f else false.
Theorem attention_certificate s : attention_checks s -> attention_certified s.
Proof. by rewrite /attention_checks /attention_certified; case: decode_attention => // f; exact: check_attention_sound. Qed.

(* How a regression enters a network. Layout A: rows [a_n, b_n, x] with x_init in row 0 of channels of its own. Layout E:
   [x_init, 0] is the last row, in the channels of a. Layout S: [x_init, 0] is row 0. One layer cannot both mask a row and
   multiply: S, and E in a circular network, spend one layer on a mask, with a positional channel that marks the row. *)
From Coq Require Import QArith.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg zmodp matrix.
From Precls Require Import Scalars Network NormalForm Descent Families Gradient Newton Residual.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Close Scope Q_scope.
Local Open Scope ring_scope.

Inductive layout := LayoutA | LayoutE | LayoutS.
Definition own_channels lay := if lay is LayoutA then true else false.
Definition is_start := ch Fis_start 0.

Section Layout.
Variables (lay : layout) (md : mode) (N D : nat).      (* N data points, D columns *)
Definition rows_of : nat := if lay is LayoutA then N else N.+1.
Definition start_row : nat := if lay is LayoutE then N else 0%N.
Definition masked : bool := match lay, md with LayoutA, _ => false | LayoutE, Causal => false | _, _ => true end.
(* The data point in row n. *)
Definition point_in (n : nat) : option nat :=
  match lay with
  | LayoutS => if n is m.+1 then (if (m < N)%N then Some m else None) else None
  | _ => if (n < N)%N then Some n else None
  end.
(* Of how many data points row n holds the answer. *)
Definition points_seen (n : nat) : option nat :=
  match md, lay with
  | Circular, _ => Some N
  | Causal, LayoutA => Some n.+1
  | Causal, LayoutS => Some n
  | Causal, LayoutE => if n == N then Some N else None
  end.

Definition vector_names f : seq chan := [seq ch f i | i <- iota 0 D].
Definition plain_names : seq chan :=
  vector_names Fa ++ ch Fb 0 :: (if own_channels lay then vector_names Fx else [::]).
Definition input_names : seq chan := if masked then rcons plain_names is_start else plain_names.
Definition input_positions : seq (nat * BinNums.N * Q) :=
  if masked then [:: (start_row, N.of_nat (size plain_names), q1)] else [::].

Section Data.
Variables (R : comRingType) (a : nat -> 'cV[R]_D) (b : nat -> R) (x0 : 'cV[R]_D).
Definition coordinate (w : 'cV[R]_D) (i : nat) : R := if insub i is Some j then w j 0 else 0.
Lemma coordinateE w (i : 'I_D) : coordinate w i = w i 0.
Proof. by rewrite /coordinate valK. Qed.
(* The entry of the input in row n and the channel of this name. *)
Definition given : named R := fun n c =>
  match c with
  | (Fa, i, 0%N) => if point_in n is Some m then coordinate (a m) i
                  else if ~~ own_channels lay && (n == start_row) then coordinate x0 i else 0
  | (Fb, 0%N, 0%N) => if point_in n is Some m then b m else 0
  | (Fx, i, 0%N) => if own_channels lay && (n == 0%N) then coordinate x0 i else 0
  | _ => 0
  end.
(* An input by its columns: those that have no name are zero. *)
Definition by_columns (names : seq chan) (v : named R) : rows R := fun n c =>
  if column names c is Some x then v n x else 0.
Definition encode : rows R := by_columns input_names given.
Definition row_a n : 'cV[R]_D := if point_in n is Some m then a m else
  if ~~ own_channels lay && (n == start_row) then x0 else 0.
Definition row_b n : R := if point_in n is Some m then b m else 0.
Definition row_x n : 'cV[R]_D := if own_channels lay && (n == 0%N) then x0 else 0.
Lemma given_a n : vec D given n Fa = row_a n.
Proof.
apply: vectorP => i; rewrite vecE /= /row_a; case: point_in => [m|]; first exact: coordinateE.
by case: ifP; rewrite ?coordinateE // mxE.
Qed.
Lemma given_x n : vec D given n Fx = row_x n.
Proof. by apply: vectorP => i; rewrite vecE /= /row_x; case: ifP; rewrite ?coordinateE // mxE. Qed.
End Data.
End Layout.

(* What has no channel is zero. *)
Section Supported.
Variables (lay : layout) (md : mode) (N D : nat) (R : comRingType) (a : nat -> 'cV[R]_D) (b : nat -> R) (x0 : 'cV[R]_D).
Lemma in_vector_names f (i : nat) : (ch f i \in vector_names D f) = (i < D)%N.
Proof. by rewrite mem_map ?mem_iota ?add0n // => i' j [->]. Qed.
Lemma coordinate_out (w : 'cV[R]_D) i : (D <= i)%N -> coordinate w i = 0.
Proof. by move=> le; rewrite /coordinate insubF // ltnNge le. Qed.
Lemma given_supported n c : c \notin plain_names lay D -> given lay N a b x0 n c = 0.
Proof.
rewrite /plain_names mem_cat inE negb_or => /andP[outa /norP[outb outx]].
case: c outa outb outx => [[f i] [|j]]; last by case: f => //; case: i.
case: f => //= outa outb outx.
- have Di : (D <= i)%N by rewrite leqNgt -(in_vector_names Fa).
  by case: point_in => [m|]; rewrite ?coordinate_out //; case: ifP.
- by case: i outb {outa outx}.
- case: ifP => // /andP[own _]; rewrite own in outx.
  by rewrite coordinate_out // leqNgt -(in_vector_names Fx).
Qed.
End Supported.

(* ---- the embedding of positions ---- *)
Section Positions.
Variables (R : comRingType) (phi : scalars R) (N : nat).
Implicit Types (names : seq chan) (v : named R).
Lemma holds_plain names v : holds N names (embed phi [::] (by_columns names v)) v.
Proof. by move=> n c x _ E; rewrite /embed big_nil addr0 /by_columns E. Qed.
Definition with_position row (p : chan) v : named R := fun n c => v n c + ((c == p) && (n == row))%:R.
Lemma holds_position names p row v : p \notin names ->
  holds N (rcons names p) (embed phi [:: (row, N.of_nat (size names), q1)] (by_columns (rcons names p) v))
        (with_position row p v).
Proof.
move=> fresh n c x _ E; rewrite /embed /by_columns E /with_position; congr (_ + _).
rewrite big_mkcond big_seq1 /= weight1 [row == n]eq_sym.
have -> : N.eqb (N.of_nat (size names)) c = (x == p).
  move: E; rewrite /column map_rcons nth_rcons size_map; case: ltngtP => //.
  - move=> lt; rewrite (nth_map p) // => -[<-].
    rewrite (negbTE (memPn fresh _ _)) ?mem_nth //; apply/N.eqb_neq => Ec.
    by rewrite -Ec Nnat.Nat2N.id ltnn in lt.
  - by move=> Ec [->]; rewrite eqxx -Ec Nnat.N2Nat.id N.eqb_refl.
by rewrite andbC; case: (_ && _).
Qed.
End Positions.

(* ---- the masking layer ---- *)
Definition mask_layer : spec := fun c =>
  match c with
  | (Fa, i, _) => linear q1 (ch Fa i) ++ product (Qopp q1) delta (ch Fa i) is_start
  | (Fb, _, _) => linear q1 (ch Fb 0)
  | (Fx, i, _) => product q1 delta (ch Fa i) is_start
  | _ => [::]
  end.
Definition opening lay md : seq spec := if masked lay md then [:: mask_layer] else [::].
Definition accumulate lay : filter := if lay is LayoutE then exclusive else prefix.
Definition spread_of lay : nat -> seq term :=
  if lay is LayoutE then fun i => linear q1 (ch Fa i) else fun i => convolved q1 prefix (ch Fx i).

Section Opened.
Variables (lay : layout) (md : mode) (N D : nat).
Variables (R : comRingType) (phi : scalars R) (a : nat -> 'cV[R]_D) (b : nat -> R) (x0 : 'cV[R]_D).
Notation rows := (rows_of lay N).
Notation given := (given lay N a b x0).
Definition named_input : named R := if masked lay md then with_position (start_row lay N) is_start given else given.
Lemma holds_input : holds rows (input_names lay md D)
  (embed phi (input_positions lay md N D) (encode lay md N a b x0)) named_input.
Proof.
rewrite /input_names /input_positions /encode /named_input /input_names; case: ifP => m; last exact: holds_plain.
apply: holds_position; rewrite /plain_names.
have -> : own_channels lay = false by move: m; rewrite /masked; case: (lay).
by rewrite mem_cat negb_or; apply/andP; split=> //; apply/negP => /mapP[].
Qed.
Lemma named_input_supported n c : c \notin input_names lay md D -> named_input n c = 0.
Proof.
rewrite /input_names /named_input; case: ifP => _ out; last exact: given_supported.
move: out; rewrite mem_rcons inE negb_or => /andP[/negbTE ne out].
by rewrite /with_position ne addr0 given_supported.
Qed.
Definition opened : named R := eval_specs phi md rows (opening lay md) named_input.

(* After the opening: data rows, the start row cleared, and x_init in a row of its own. *)
Definition data_a n : 'cV[R]_D := if point_in lay N n is Some m then a m else 0.
Lemma opened_b n : (n < rows)%N -> opened n (ch Fb 0) = row_b lay N b n.
Proof.
rewrite /opened /opening /named_input; case: (masked lay md) => //= nN.
by rewrite [LHS]eval_linear // weight1 mul1r /with_position /= addr0.
Qed.
Lemma start_empty n : point_in lay N n = None -> (n < rows)%N -> (n == start_row lay N).
Proof. by rewrite /point_in /rows_of /start_row; case: lay; case: n => [|n]; rewrite ?ltnS; case: ltngtP => //=. Qed.
Lemma mark (n : nat) : masked lay md -> with_position (start_row lay N) is_start given n is_start = (n == start_row lay N)%:R.
Proof. by move=> m; rewrite /with_position /= add0r. Qed.
Lemma marked_a n (i : 'I_D) :
  with_position (start_row lay N) is_start given n (ch Fa i) = row_a lay N a x0 n i 0.
Proof.
have -> : row_a lay N a x0 n i 0 = given n (ch Fa i) by rewrite -(given_a lay N a b x0 n) vecE.
have E : (ch Fa i == is_start) = false by [].
by rewrite /with_position E addr0.
Qed.
Lemma full_start m : point_in lay N (start_row lay N) = Some m -> own_channels lay.
Proof. by rewrite /point_in /start_row; case: lay => //=; rewrite ltnn. Qed.
Lemma masked_own : masked lay md -> own_channels lay = false.
Proof. by rewrite /masked; case: lay. Qed.
Lemma opened_mask_a n : masked lay md -> (n < rows)%N -> vec D opened n Fa = data_a n.
Proof.
move=> m nN; rewrite /opened /opening /named_input m; apply: vectorP => i; rewrite vecE.
rewrite [LHS]eval_cat eval_linear // eval_delta_product // mark // weightN weight1 mulN1r mul1r.
rewrite marked_a.
rewrite /data_a /row_a; case E: point_in => [k|].
  case: eqP => [En|_]; last by rewrite mulr0 subr0.
  by have := @full_start k; rewrite -En E masked_own // => /(_ erefl).
by rewrite masked_own // (start_empty E) //= mulr1 subrr mxE.
Qed.
Lemma opened_mask_x n : masked lay md -> (n < rows)%N ->
  vec D opened n Fx = if n == start_row lay N then x0 else 0.
Proof.
move=> m nN; rewrite /opened /opening /named_input m; apply: vectorP => i; rewrite vecE.
rewrite [LHS]eval_delta_product // mark // weight1 mul1r.
rewrite marked_a.
case: eqP => [En|_]; last by rewrite mulr0 mxE.
rewrite mulr1 /row_a; case E: point_in => [k|]; last by rewrite masked_own // En eqxx.
by have := @full_start k; rewrite -En E masked_own // => /(_ erefl).
Qed.
Lemma opened_a n : (n < rows)%N -> masked lay md || own_channels lay -> vec D opened n Fa = data_a n.
Proof.
move=> nN; case m: (masked lay md) => /= own; first exact: opened_mask_a.
by rewrite /opened /opening /named_input m /= given_a /row_a own.
Qed.
Lemma opened_x n : (n < rows)%N -> masked lay md || own_channels lay ->
  vec D opened n Fx = if n == start_row lay N then x0 else 0.
Proof.
move=> nN; case m: (masked lay md) => /= own; first exact: opened_mask_x.
by rewrite /opened /opening /named_input m /= given_x /row_x own /=; case: lay own.
Qed.
End Opened.

(* ---- what the rows of a causal network see of the data ---- *)
Section Answers.
Variables (R : comRingType) (D : nat).
Lemma gram_same (a a' : nat -> 'cV[R]_D) p : (forall n, (n < p)%N -> a' n = a n) -> gram a' p = gram a p.
Proof. by move=> H; apply: eq_bigr => n _; rewrite H. Qed.
Lemma moment_same (a a' : nat -> 'cV[R]_D) (b b' : nat -> R) p :
  (forall n, (n < p)%N -> a' n = a n) -> (forall n, (n < p)%N -> b' n = b n) -> moment a' b' p = moment a b p.
Proof. by move=> H Hb; apply: eq_bigr => n _; rewrite H // Hb. Qed.
Lemma gram_shift (a a' : nat -> 'cV[R]_D) p :
  a' 0%N = 0 -> (forall n, (n < p)%N -> a' n.+1 = a n) -> gram a' p.+1 = gram a p.
Proof. by move=> z H; rewrite /gram big_ord_recl z mul0mx add0r; apply: eq_bigr => n _; rewrite H. Qed.
Lemma moment_shift (a a' : nat -> 'cV[R]_D) (b b' : nat -> R) p :
  b' 0%N = 0 -> (forall n, (n < p)%N -> a' n.+1 = a n) -> (forall n, (n < p)%N -> b' n.+1 = b n) ->
  moment a' b' p.+1 = moment a b p.
Proof. by move=> z H Hb; rewrite /moment big_ord_recl z scale0r add0r; apply: eq_bigr => n _; rewrite H // Hb. Qed.
Lemma gd_ext (a a' : nat -> 'cV[R]_D) b b' s p p' :
  gram a p = gram a' p' -> moment a b p = moment a' b' p' -> gd a b s p =1 gd a' b' s p'.
Proof. by move=> EG Ec x; rewrite /gd /gradient EG Ec. Qed.
Lemma momentum_ext (a a' : nat -> 'cV[R]_D) b b' p p' x steps :
  gram a p = gram a' p' -> moment a b p = moment a' b' p' ->
  momentum_method a b p x steps = momentum_method a' b' p' x steps.
Proof.
move=> EG Ec.
have E st s : momentum_step a b p st s = momentum_step a' b' p' st s by rewrite /momentum_step /gradient EG Ec.
by rewrite /momentum_method; elim: steps (x, x) => [|s steps IH] st //; rewrite [LHS]/= E IH.
Qed.

Variables (lay : layout) (N : nat) (phi : scalars R) (a : nat -> 'cV[R]_D) (b : nat -> R) (x0 : 'cV[R]_D).
Notation rows := (rows_of lay N).
Definition row_data n := if lay is LayoutE then row_a lay N a x0 n else data_a lay N a n.
Definition seen (n : nat) : nat := if lay is LayoutE then n else n.+1.
Definition start n := if lay is LayoutE then row_a lay N a x0 n else x0.
Notation v := (opened lay Causal N phi a b x0).

Lemma seen_rows n : (n < rows)%N -> (seen n <= rows)%N.
Proof. by rewrite /seen /rows_of; case: lay => // /ltnW. Qed.
Lemma accumulate_sums w n : (n < rows)%N -> convolve phi Causal rows (accumulate lay) w n = \sum_(m < seen n) w m.
Proof. by rewrite /accumulate /seen; case: lay => nN; [exact: prefixE | exact: exclusiveE | exact: prefixE]. Qed.
Lemma regression_opened : regression (spread_of lay) phi rows row_data (row_b lay N b) start v.
Proof.
have [isE|own] : lay = LayoutE \/ masked lay Causal || own_channels lay by case: lay; [right | left | right].
  split=> [n nN|n|n i nN].
  - by rewrite /row_data isE /opened /opening /named_input /= given_a.
  - exact: opened_b.
  - rewrite /spread_of /start isE in nN *.
    by rewrite eval_linear // weight1 mul1r -vecE /opened /opening /named_input /= given_a.
have notE T (p q : T) : (if lay is LayoutE then p else q) = q by move: own; case: lay.
split=> [n nN|n|n i nN].
- by rewrite /row_data notE; exact: opened_a.
- exact: opened_b.
rewrite /spread_of /start !notE eval_convolved weight1 mul1r prefixE //.
transitivity ((\sum_(m < n.+1) vec D v m Fx) i 0); first by rewrite summxE; apply: eq_bigr => m _; rewrite vecE.
have first_row : start_row lay N = 0%N by move: own; case: lay.
rewrite (bigD1 ord0) //= opened_x ?(leq_ltn_trans _ nN) // first_row big1 ?addr0 // => m ne.
rewrite opened_x //; last by rewrite (leq_ltn_trans _ nN) // -ltnS.
by rewrite first_row -[_ == 0%N]/(m == ord0) (negbTE ne).
Qed.
Lemma answers n p : (n < rows)%N -> points_seen lay Causal N n = Some p ->
  [/\ gram row_data (seen n) = gram a p, moment row_data (row_b lay N b) (seen n) = moment a b p & start n = x0].
Proof.
rewrite /rows_of /points_seen /row_data /seen /start /row_b /data_a /row_a /point_in; case: lay => /= nN.
- case=> <-; split=> //; [apply: gram_same => m mn | apply: moment_same => m mn]; by rewrite (leq_trans mn).
- case: eqP => // -> [<-]; split; [apply: gram_same => m mn | apply: moment_same => m mn |]; by rewrite ?mn // ltnn ?eqxx.
- case=> <-; split=> //; [apply: gram_shift => // m mn | apply: moment_shift => // m mn]; by rewrite (leq_trans mn).
Qed.
End Answers.

(* ---- circular networks see all rows ---- *)
Section Circular.
Variables (R : comRingType) (D : nat) (lay : layout) (N : nat) (phi : scalars R).
Variables (a : nat -> 'cV[R]_D) (b : nat -> R) (x0 : 'cV[R]_D).
Notation rows := (rows_of lay N).
Lemma circular_gram : (0 < N)%N -> gram (data_a lay N a) rows = gram a N.
Proof.
move=> N0; rewrite /rows_of /data_a /point_in; case: lay.
- by apply: gram_same => m ->.
- by rewrite /gram big_ord_recr /= ltnn mul0mx addr0; apply: eq_bigr => m _; rewrite ltn_ord.
- by apply: gram_shift => // m ->.
Qed.
Lemma circular_moment : (0 < N)%N -> moment (data_a lay N a) (row_b lay N b) rows = moment a b N.
Proof.
move=> N0; rewrite /rows_of /data_a /row_b /point_in; case: lay.
- by apply: moment_same => m ->.
- by rewrite /moment big_ord_recr /= ltnn scale0r addr0; apply: eq_bigr => m _; rewrite ltn_ord.
- by apply: moment_shift => // m ->.
Qed.
Lemma circular_start : (0 < N)%N -> \sum_(m < rows) vec D (opened lay Circular N phi a b x0) m Fx = x0.
Proof.
move=> N0; have lt : (start_row lay N < rows)%N by rewrite /start_row /rows_of; case: lay.
have ok : masked lay Circular || own_channels lay by case: lay.
rewrite (bigD1 (Ordinal lt)) //= opened_x // eqxx big1 ?addr0 // => m ne.
by rewrite opened_x //; case: eqP => // E; case/eqP: ne; exact: val_inj.
Qed.
Lemma circular_data n : (n < rows)%N ->
  vec D (opened lay Circular N phi a b x0) n Fa = data_a lay N a n /\
  opened lay Circular N phi a b x0 n (ch Fb 0) = row_b lay N b n.
Proof. by move=> nN; rewrite opened_a ?opened_b //; case: lay. Qed.
End Circular.

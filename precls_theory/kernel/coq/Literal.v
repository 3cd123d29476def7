(* Literal networks at all sizes. Every stack of layers in normal form compiles to literal In / Conv / Gate / Out weights on
   numbered columns, one layer each and one hidden channel a term; channels that nobody reads are left out. So for each
   algorithm, all N, D and k, there is a network, written down here, that computes it; its depth and width are theorems. *)
From Coq Require Import QArith.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg zmodp matrix.
From Precls Require Import Scalars Network NormalForm Descent Families Gradient Newton Residual Primitives Layouts.
From Precls Require Import Algorithms Certificate Soundness.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Close Scope Q_scope.
Local Open Scope ring_scope.

(* ---- one layer ---- *)
(* The form that reads a channel, if it has a column; one, for no channel. *)
Definition reading (names : seq chan) (o : option chan) : form :=
  if o is Some c then (if c \in names then Form [:: (N.of_nat (index c names), q1)] q0 else no_form) else Form [::] q1.
Definition unit_of (names : seq chan) (t : term) : hidden :=
  let: (_, f, c, d) := t in Hidden f (reading names c) (reading names d).
(* Coefficients of the hidden channels h, h+1, ... *)
Fixpoint numbered (h : nat) (ts : seq term) : seq (N * Q) :=
  if ts is t :: ts then (N.of_nat h, t.1.1.1) :: numbered h.+1 ts else [::].
Fixpoint outputs_from (h : nat) (T : spec) (names' : seq chan) : seq form :=
  if names' is c :: names' then Form (numbered h (T c)) q0 :: outputs_from (h + size (T c)) T names' else [::].
Definition terms_of (T : spec) (names' : seq chan) : seq term := flatten [seq T c | c <- names'].
Definition compile (names names' : seq chan) (T : spec) : layer :=
  Layer (map (unit_of names) (terms_of T names')) (outputs_from 0 T names').
Theorem compile_width names names' T : width (compile names names' T) = sumn [seq size (T c) | c <- names'].
Proof. by rewrite /width /= size_map size_flatten /shape -map_comp. Qed.

(* ---- a stack of layers, each with the channels that the next ones read ---- *)
Definition needed (T : spec) (names' : seq chan) : seq chan := undup (flatten (map reads_of (terms_of T names'))).
Fixpoint names_before (Ts : seq spec) (outputs : seq chan) : seq chan :=
  if Ts is T :: Ts then needed T (names_before Ts outputs) else outputs.
Fixpoint compile_all (names : seq chan) (Ts : seq spec) (outputs : seq chan) : seq layer :=
  if Ts is T :: Ts then
    let names' := names_before Ts outputs in compile names names' T :: compile_all names' Ts outputs
  else [::].
Lemma reads_needed T names' c x : c \in names' -> x \in flatten (map reads_of (T c)) ->
  x \in flatten (map reads_of (terms_of T names')).
Proof.
rewrite /terms_of; elim: names' => // d names' IH; rewrite inE /= map_cat flatten_cat mem_cat => mem read.
by case/orP: mem => [/eqP <-|mem]; [rewrite read | rewrite IH ?orbT].
Qed.
Definition last_names (names : seq chan) (Ts : seq spec) (outputs : seq chan) : seq chan :=
  if Ts is [::] then names else outputs.
Lemma compile_all_depth names Ts outputs : size (compile_all names Ts outputs) = size Ts.
Proof. by elim: Ts names => //= T Ts IH names; rewrite IH. Qed.

Section Correct.
Variables (R : comRingType) (phi : scalars R) (md : mode) (N : nat).
(* What the columns hold, by name; channels without a column are zero. *)
Definition view (names : seq chan) (u : rows R) : named R := fun n c =>
  if c \in names then u n (N.of_nat (index c names)) else 0.

Lemma eval_reading names o u n : eval_form phi (reading names o) (u n) = value (view names u) n o.
Proof.
rewrite /eval_form; case: o => [c|] /=; last by rewrite big_nil weight1 add0r.
rewrite /view; case: ifP => _ /=; last by rewrite big_nil weight0 addr0.
by rewrite big_seq1 /= weight0 addr0 weight1 mul1r.
Qed.
Lemma eval_unit names t u n :
  phi t.1.1.1 * eval_hidden phi md N (unit_of names t) u n = eval_term phi md N (view names u) n t.
Proof.
case: t => [[[k f] c] d] /=; rewrite /eval_hidden /= eval_reading; congr (_ * (_ * _)).
by apply: convolveE => m _; exact: eval_reading.
Qed.
Lemma eval_numbered names before ts after u n h : size before = h ->
  eval_form phi (Form (numbered h ts) q0) (fun j =>
    eval_hidden phi md N (nth no_unit (before ++ map (unit_of names) ts ++ after) (N.to_nat j)) u n) =
  eval_terms phi md N (view names u) n ts.
Proof.
rewrite /eval_form /= weight0 addr0; elim: ts before h => [|t ts IH] before h sz /=; first by rewrite eval_nil big_nil.
rewrite big_cons /eval_terms big_cons; congr (_ + _).
  by rewrite /= Nnat.Nat2N.id nth_cat sz ltnn subnn /= eval_unit.
by rewrite -cat_rcons; apply: IH; rewrite size_rcons sz.
Qed.
Lemma eval_compile names names' T u n c : c \in names' ->
  eval_layer phi md N (compile names names' T) u n (N.of_nat (index c names')) =
  eval_terms phi md N (view names u) n (T c).
Proof.
rewrite /eval_layer Nnat.Nat2N.id /unit_at [units _]/= -[map _ _]cat0s [out _]/= => mem.
have : size (Nil hidden) = 0%N by []; move: [::] 0%N => before h.
elim: names' mem before h => [|c' names' IH] //; rewrite inE => mem before h sz.
rewrite /terms_of /= map_cat; case: (c' =P c) => [->|ne] /=; first exact: eval_numbered.
case/orP: mem => [/eqP E|mem]; first by case: ne.
by rewrite catA; apply: IH => //; rewrite size_cat size_map sz.
Qed.
(* Terms feel only the channels that they read. *)
Lemma eval_terms_reads v v' n ts : (n < N)%N ->
  (forall m c, (m < N)%N -> c \in flatten (map reads_of ts) -> v m c = v' m c) ->
  eval_terms phi md N v n ts = eval_terms phi md N v' n ts.
Proof.
move=> nN; rewrite /eval_terms; elim: ts => [|t ts IH] E; first by rewrite !big_nil.
rewrite !big_cons IH => [|m c mN mem]; last by apply: E => //=; rewrite mem_cat mem orbT.
congr (_ + _); case: t E => [[[k f] c] d] E /=.
have V m o : (m < N)%N -> {subset seq_of_opt o <= seq_of_opt c ++ seq_of_opt d} -> value v m o = value v' m o.
  case: o => // x mN sub; apply: E => //=; rewrite mem_cat sub // ?inE //.
by congr (_ * (_ * _)); [apply: convolveE => m mN|]; apply: V => // x mem; rewrite mem_cat mem ?orbT.
Qed.
Theorem compile_all_correct names Ts outputs u v :
  (forall n c, (n < N)%N -> c \in names_before Ts outputs -> view names u n c = v n c) ->
  forall n c, (n < N)%N -> c \in outputs ->
  view (last_names names Ts outputs) (eval_layers phi md N (compile_all names Ts outputs) u) n c =
  eval_specs phi md N Ts v n c.
Proof.
elim: Ts names u v => [|T Ts IH] names u v agree_v n c nN mem /=; first exact: agree_v.
set names' := names_before Ts outputs.
have := IH names' (eval_layer phi md N (compile names names' T) u) (eval_spec phi md N T v) _ n c nN mem.
have -> : last_names names' Ts outputs = outputs by rewrite /names'; case: (Ts).
apply=> m d mN mem_d; rewrite /view mem_d eval_compile //.
apply: eval_terms_reads => // m' x m'N read; apply: agree_v => //=; rewrite mem_undup.
exact: reads_needed mem_d read.
Qed.
End Correct.

(* ---- the literal network of a model ---- *)
Definition literal (m : model) : network := Network (model_rows m) (model_mode m) (size (model_inputs m)) (model_positions m)
  (compile_all (model_inputs m) (model_layers m) (model_outputs m)).
Definition literal_columns (m : model) : seq N :=
  [seq N.of_nat (index c (last_names (model_inputs m) (model_layers m) (model_outputs m))) | c <- model_outputs m].
Theorem literal_computes m : (0 < size (model_order m))%N -> computes m (literal m) (literal_columns m).
Proof.
move=> some_layer R phi u v n i H zero nN iO.
set c := nth (ch Fnone 0) (model_outputs m) i.
have mem : c \in model_outputs m by exact: mem_nth.
have last_is : last_names (model_inputs m) (model_layers m) (model_outputs m) = model_outputs m.
  by move: some_layer; rewrite /model_layers; case: (model_order m).
rewrite (nth_map (ch Fnone 0)) // -/c /eval [layers _]/= [net_mode _]/= [n_rows _]/= [positions _]/=.
rewrite -(@compile_all_correct R phi (model_mode m) (model_rows m) (model_inputs m) (model_layers m) (model_outputs m)
  (embed phi (model_positions m) u) v _ n c nN mem); first by rewrite /view last_is mem.
move=> n' c' n'N _; rewrite /view; case: ifP => [inside|/negbT/zero -> //].
by apply: H => //; rewrite /column Nnat.Nat2N.id (nth_map c') ?index_mem // nth_index.
Qed.
Theorem literal_depth m : depth (literal m) = size (model_order m).
Proof. by rewrite /depth compile_all_depth size_map. Qed.

(* ---- every algorithm, for all sizes ---- *)
Lemma size_repeat T (s : seq T) k : size (flatten (nseq k s)) = (k * size s)%N.
Proof. by elim: k => //= k IH; rewrite size_cat IH. Qed.
Definition opening_depth lay md : nat := masked lay md.
Lemma size_opening lay md : size (opening lay md) = opening_depth lay md.
Proof. by rewrite /opening /opening_depth; case: masked. Qed.
(* The number of layers. Doubling takes k = 2^m and has m + 2, tight as many as k has digits and one more. *)
Definition depth_of (alg : algorithm) : nat :=
  match alg with
  | GradientDescent ResidualForm lay _ _ k _ => opening_depth lay Circular + (Pos.to_nat k).*2.+1
  | GradientDescent GramForm lay _ _ k _ => opening_depth lay Causal + (Pos.to_nat k).+1
  | GradientDescent DoublingForm lay _ _ k _ => opening_depth lay Causal + (size (bits k)).-1.+2
  | GradientDescent TightForm lay _ _ k _ => opening_depth lay Causal + (size (bits k)).+1
  | HeavyBall lay _ _ k _ _ | Chebyshev lay _ _ k _ _ => opening_depth lay Causal + (Pos.to_nat k).+1
  | NewtonIteration DirectNewton _ _ t _ _ => if t is t.+1 then t.*2 + 3 else 2
  | NewtonIteration ResidualNewton _ _ t _ r => t + 3 + r * 3
  | NewtonIteration DoublingNewton _ _ t _ r => t + 2 + r * 3
  | Read _ _ _ _ _ _ _ | Linear _ _ _ | Multiply _ _ _ _ _ _ => 1
  end.
Lemma size_gram_layers D acc spread steps : size (gram_layers D acc spread steps) = (size steps).+1.
Proof. by case: steps => //= step steps; rewrite size_map. Qed.
Lemma size_chebyshev_from lower upper k first omega : size (chebyshev_from lower upper k first omega) = k.
Proof. by elim: k first omega => //= k IH first omega; rewrite IH. Qed.
Lemma size_refinement_order r first : size (refinement_order r first) = (r * 3)%N.
Proof. by case: r => //= r; rewrite size_repeat mulSn. Qed.
Theorem model_depth alg m : model_of alg = Some m -> size (model_order m) = depth_of alg.
Proof.
have pos k : (0 < Pos.to_nat k)%N by apply/ltP; exact: Pos2Nat.is_pos.
case: alg => [form lay N D k eta|lay N D k eta beta|lay N D k lower upper|form N D t alpha r|N C s t i j md|N W c|N C p q r l] /=.
- case: eqP => // _; case: form => [||| ]; first 2 last.
  + by case: ifP => // _ [<-]; rewrite /= size_cat size_iota size_opening /= size_map size_nseq.
  + by case=> <-; rewrite /= size_cat size_iota size_opening /= !size_map.
  + by case=> <-; rewrite /= size_cat size_iota size_opening /= size_map size_repeat muln2.
  + by case=> <-; rewrite /= size_cat size_iota size_opening /= size_map size_nseq prednK.
- by case: eqP => // _ [<-]; rewrite /= size_cat size_iota size_opening /= size_map size_nseq prednK.
- case: eqP => // _ [<-]; rewrite /= size_cat size_iota size_opening size_map size_iota size_gram_layers size_map.
  by rewrite size_chebyshev_from.
- case: ifP => // _ [<-] /=; case: form => /=.
  + by case: t => //= t; rewrite size_cat size_repeat muln2 /= addn1 addn3.
  + by rewrite size_cat size_nseq /= size_refinement_order addn3 !addnS addSn !addSn.
  + by rewrite size_cat size_nseq size_refinement_order addn2 !addSn.
- by case: ifP => // _ [<-].
- by case=> <-.
- by case=> <-.
Qed.
Lemma depth_of_gt0 alg : (0 < depth_of alg)%N.
Proof. by case: alg => [[]|||[] ? ? [|?]|||] *; rewrite /= ?addnS. Qed.
(* For every algorithm and all its parameters: the literal network computes what the algorithm states, in so many layers. *)
Theorem literal_correct alg m : model_of alg = Some m -> statement alg (literal m) (literal_columns m).
Proof.
move=> E; apply: implements_sound; rewrite /implements E; apply: literal_computes.
by rewrite (model_depth E) depth_of_gt0.
Qed.
Theorem literal_depth_of alg m : model_of alg = Some m -> depth (literal m) = depth_of alg.
Proof. by move=> E; rewrite literal_depth (model_depth E). Qed.

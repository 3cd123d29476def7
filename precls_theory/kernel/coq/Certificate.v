(* The checker that runs in the kernel, and what it proves: a network read from a file computes what the file claims, for
   all data over every ring into which Q maps. A generated file holds integers alone; [decode] and [certified] are here. *)
From Coq Require Import QArith ZArith.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg zmodp matrix.
From Precls Require Import Scalars Network NormalForm Descent Families Gradient Newton Residual Primitives Layouts.
From Precls Require Import Algorithms.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Close Scope Q_scope.
Local Open Scope ring_scope.

Record file := File {
  file_algorithm : algorithm;
  file_rows : nat;
  file_mode : mode;
  file_inputs : seq chan;
  file_positions : seq (nat * N * Q);
  file_table : seq (layer * seq chan);                        (* stored layers with the names of their outputs *)
  file_order : seq nat;
  file_columns : seq N
}.
Definition network_of (f : file) : network :=
  Network (file_rows f) (file_mode f) (size (file_inputs f)) (file_positions f)
    [seq (stored (file_table f) l).1 | l <- file_order f].

Definition same_mode m m' := match m, m' with Causal, Causal | Circular, Circular => true | _, _ => false end.
Lemma same_modeP m m' : same_mode m m' -> m = m'. Proof. by case: m; case: m'. Qed.
Fixpoint same_positions (ps qs : seq (nat * N * Q)) : bool :=
  match ps, qs with
  | [::], [::] => true
  | p :: ps, q :: qs => [&& p.1.1 == q.1.1, N.eqb p.1.2 q.1.2, sameQ p.2 q.2 & same_positions ps qs]
  | _, _ => false
  end.
Lemma same_positionsP ps qs : same_positions ps qs -> ps = qs.
Proof.
elim: ps qs => [|[[r c] q] ps IH] [|[[r' c'] q'] qs] //= /and4P[/eqP -> E /sameQP -> /IH ->].
by move/N.eqb_eq: E => ->.
Qed.

Definition check_outputs (names : seq chan) al (outputs : seq chan) (columns : seq N) : bool :=
  (size outputs == size columns) &&
  all (fun oc => column names oc.2 == Some (alias al oc.1)) (zip outputs columns).
Definition check_model (m : model) (f : file) : bool :=
  [&& file_rows f == model_rows m, same_mode (file_mode f) (model_mode m), file_inputs f == model_inputs m,
      same_positions (file_positions f) (model_positions m), size (file_order f) == size (model_order m),
      all (fun l => l < size (file_table f))%N (file_order f) &
      if check_run (model_inputs m) (file_table f) (model_specs m) (model_outputs m) None None [::]
           (zip (file_order f) (model_order m)) is Some (last, al)
      then check_outputs (names_at (model_inputs m) (file_table f) last) al (model_outputs m) (file_columns f) else false].
Definition check (f : file) : bool := if model_of (file_algorithm f) is Some m then check_model m f else false.

(* A literal network computes the layers in normal form, at its columns; input channels without a name are zero. *)
Definition computes (m : model) (net : network) (columns : seq N) : Prop :=
  forall (R : comRingType) (phi : scalars R) (u : rows R) v n i,
  holds (model_rows m) (model_inputs m) (embed phi (model_positions m) u) v ->
  (forall n c, c \notin model_inputs m -> v n c = 0) -> (n < model_rows m)%N -> (i < size (model_outputs m))%N ->
  eval phi net u n (nth 0%coqN columns i) =
  eval_specs phi (model_mode m) (model_rows m) (model_layers m) v n (nth (ch Fnone 0) (model_outputs m) i).
(* It is the network of this algorithm. *)
Definition implements (alg : algorithm) (net : network) (columns : seq N) : Prop :=
  if model_of alg is Some m then computes m net columns else False.

Lemma check_modelP m f : check_model m f -> computes m (network_of f) (file_columns f).
Proof.
case/and5P=> /eqP Er /same_modeP Em _ /same_positionsP Ep /and3P[/eqP Es _].
case E: check_run => [[last al]|] // /andP[/eqP sz cols] R phi u v n i H _ nN iO.
have al0 : aliased (model_rows m) [::] v by [].
have [al_v Hl] := check_runP phi (model_mode m) (memo := None) I E al0 H.
rewrite /eval /network_of /= Er Em Ep.
have -> : [seq (stored (file_table f) l).1 | l <- file_order f] =
    [seq (stored (file_table f) p.1).1 | p <- zip (file_order f) (model_order m)].
  rewrite -{1}[file_order f](@unzip1_zip _ _ _ (model_order m)) ?Es //.
  by rewrite /unzip1 -map_comp.
rewrite /model_layers -{2}[model_order m](@unzip2_zip _ _ (file_order f)) ?Es // /unzip2 -map_comp.
have ok : column (names_at (model_inputs m) (file_table f) last) (nth 0%coqN (file_columns f) i) =
    Some (alias al (nth (ch Fnone 0) (model_outputs m) i)).
  have := allP cols (nth (ch Fnone 0) (model_outputs m) i, nth 0%coqN (file_columns f) i).
  by rewrite -nth_zip // mem_nth ?size_zip ?sz ?minnn -?sz // nth_zip // => /(_ isT)/eqP.
by rewrite (Hl _ _ _ nN ok) (aliasP _ nN al_v).
Qed.
Theorem check_implements f : check f -> implements (file_algorithm f) (network_of f) (file_columns f).
Proof. by rewrite /check /implements; case: model_of => // m; exact: check_modelP. Qed.

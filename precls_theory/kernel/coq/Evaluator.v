(* An evaluator that runs: networks on rational numbers, proved equal to the meaning [eval] of Network.v. It closes the gap
   between that definition and the Python evaluator, with which it is compared on random networks. *)
From Coq Require Import QArith ZArith.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg zmodp matrix.
From Precls Require Import Scalars Network.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Close Scope Q_scope.
Local Open Scope ring_scope.

Definition table := seq (seq Q).                               (* rows of entries *)
Definition add (x y : Q) : Q := Qred (Qplus x y).
Definition run_sum (xs : seq Q) : Q := foldr add q0 xs.
Definition run_form (l : form) (v : seq Q) : Q :=
  add (run_sum [seq Qmult e.2 (nth q0 v (N.to_nat e.1)) | e <- weights l]) (const l).
Definition run_tap (md : mode) (N : nat) (f : filter) n m : Q := if lag md N n m is Some l then tap f l else q0.
Definition run_unit (md : mode) (N : nat) (h : hidden) (u : table) (n : nat) : Q :=
  Qmult (run_sum [seq Qmult (run_tap md N (filt h) n m) (run_form (conv h) (nth [::] u m)) | m <- iota 0 N])
        (run_form (gate h) (nth [::] u n)).
Definition run_layer (md : mode) (N : nat) (L : layer) (u : table) : table :=
  [seq (let hidden := [seq run_unit md N h u n | h <- units L] in [seq run_form l hidden | l <- out L]) | n <- iota 0 N].
Definition run_embed (net : network) (u : table) : table :=
  [seq [seq add (nth q0 (nth [::] u n) c)
                (run_sum [seq p.2 | p <- positions net & (p.1.1 == n) && N.eqb p.1.2 (N.of_nat c)])
       | c <- iota 0 (n_inputs net)] | n <- iota 0 (n_rows net)].
Definition run (net : network) (u : table) : table :=
  foldl (fun u L => run_layer (net_mode net) (n_rows net) L u) (run_embed net u) (layers net).
(* Rows and positions have no entry beyond the input channels. *)
Definition fits (net : network) (u : table) : bool :=
  all (fun r => size r <= n_inputs net)%N u && all (fun p => N.to_nat p.1.2 < n_inputs net)%N (positions net).

Section Equal.
Variables (R : comRingType) (phi : scalars R).
Definition as_rows (u : table) : rows R := fun n c => phi (nth q0 (nth [::] u n) (N.to_nat c)).
Lemma addE x y : phi (add x y) = phi x + phi y.
Proof. by rewrite weight_red weightD. Qed.
Lemma run_sumE xs : phi (run_sum xs) = \sum_(x <- xs) phi x.
Proof. by elim: xs => [|x xs IH]; rewrite ?big_nil ?weight0 // big_cons -IH -addE. Qed.
Lemma run_formE l v : phi (run_form l v) = eval_form phi l (fun c => phi (nth q0 v (N.to_nat c))).
Proof. by rewrite addE run_sumE big_map; congr (_ + _); apply: eq_bigr => e _; rewrite weightM. Qed.
Lemma run_unitE md N h u n : phi (run_unit md N h u n) = eval_hidden phi md N h (as_rows u) n.
Proof.
rewrite weightM run_sumE run_formE big_map.
have -> : iota 0 N = index_iota 0 N by rewrite /index_iota subn0.
rewrite big_mkord; congr (_ * _); apply: eq_bigr => m _; rewrite weightM run_formE; congr (_ * _).
by rewrite /run_tap /tap_at; case: lag => //; rewrite weight0.
Qed.
Lemma no_unitE md N (u : rows R) n : eval_hidden phi md N no_unit u n = 0.
Proof. by rewrite /eval_hidden /eval_form /= big_nil weight0 addr0 mulr0. Qed.
Lemma run_layerE md N L u n o : (n < N)%N -> as_rows (run_layer md N L u) n o = eval_layer phi md N L (as_rows u) n o.
Proof.
move=> nN; rewrite /as_rows /run_layer (nth_map 0%N) ?size_iota // nth_iota // add0n.
rewrite /eval_layer; case: (ltnP (N.to_nat o) (size (out L))) => [lt|ge]; last first.
  by rewrite !nth_default ?size_map // /eval_form /= big_nil weight0 addr0.
rewrite (nth_map no_form) // run_formE /eval_form; congr (_ + _); apply: eq_bigr => e _; congr (_ * _).
rewrite /unit_at; case: (ltnP (N.to_nat e.1) (size (units L))) => [lt'|ge]; last first.
  by rewrite !nth_default ?size_map // no_unitE weight0.
by rewrite (nth_map no_unit) // run_unitE.
Qed.
Lemma eval_layer_ext md N L (u u' : rows R) n o : (n < N)%N -> (forall m c, (m < N)%N -> u m c = u' m c) ->
  eval_layer phi md N L u n o = eval_layer phi md N L u' n o.
Proof.
move=> nN E; have form_ext l m : (m < N)%N -> eval_form phi l (u m) = eval_form phi l (u' m).
  by move=> mN; congr (_ + _); apply: eq_bigr => e _; rewrite E.
rewrite /eval_layer /eval_form; congr (_ + _); apply: eq_bigr => e _; congr (_ * _).
rewrite /eval_hidden form_ext //; congr (_ * _); apply: convolveE => m mN; exact: form_ext.
Qed.
Lemma run_embedE net u n c : (n < n_rows net)%N -> fits net u ->
  as_rows (run_embed net u) n c = embed phi (positions net) (as_rows u) n c.
Proof.
move=> nN /andP[narrow inside]; rewrite /as_rows /run_embed (nth_map 0%N) ?size_iota // nth_iota // add0n /embed.
case: (ltnP (N.to_nat c) (n_inputs net)) => [lt|ge].
  rewrite (nth_map 0%N) ?size_iota // nth_iota // add0n addE run_sumE Nnat.N2Nat.id; congr (_ + _).
  by rewrite big_map big_filter.
rewrite nth_default ?size_map ?size_iota // weight0 nth_default; last first.
  case: (ltnP n (size u)) => lt; last by rewrite [nth [::] u n]nth_default.
  by rewrite (leq_trans _ ge) //; exact: (all_nthP [::] narrow).
rewrite weight0 add0r; elim: (positions net) inside => [|p ps IH] /=; first by rewrite big_nil.
case/andP=> lt /IH E; rewrite big_cons -E; case: ifP => // /andP[_ /N.eqb_eq Ec].
by rewrite Ec ltnNge ge in lt.
Qed.
Theorem run_correct net u n c : (n < n_rows net)%N -> fits net u ->
  as_rows (run net u) n c = eval phi net (as_rows u) n c.
Proof.
move=> nN ok; rewrite /run /eval /eval_layers.
have E m d : (m < n_rows net)%N -> as_rows (run_embed net u) m d = embed phi (positions net) (as_rows u) m d.
  by move=> mN; exact: run_embedE.
elim: (layers net) (run_embed net u) (embed phi _ _) E => [|L Ls IH] t v E /=; first exact: E.
by apply: IH => m d mN; rewrite run_layerE //; exact: eval_layer_ext.
Qed.
End Equal.

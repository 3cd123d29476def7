(* The paper's operator (Liu et al. 2025, Algorithm 1) and the layer as it is trained express the same maps: an operator is
   one layer of twice the width whose input has positional channels; a layer, with its learned branch weights, is three
   operators: mix, multiply, mix. Causal and circular, for every number of rows and channels, over every commutative ring.
   Channels are indexed by finite types; A + B are the channels of A, then those of B. *)
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg zmodp matrix.
From Precls Require Import Network.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Notation "A + B" := [finType of (A : Type) + (B : Type)] : channels_scope.
Delimit Scope channels_scope with channels.

Section Operators.
Variables (R : comRingType) (md : mode) (N : nat).
Notation state C := (nat -> C -> R).                          (* row, channel *)
Definition convolved (taps w : nat -> R) (n : nat) : R :=
  \sum_(m < N) (if lag md N n m is Some l then taps l * w m else 0).

(* (u W + B1) . (H * u + B2), with one filter a channel. *)
Record operator (C : finType) := Operator { W : C -> C -> R; B1 : state C; H : state C; B2 : state C }.
Definition apply_operator (C : finType) (op : operator C) (u : state C) : state C := fun n c =>
  (\sum_d u n d * W op d c + B1 op n c) * (convolved (H op ^~ c) (u ^~ c) n + B2 op n c).

(* w0 Out( (filter * In u + conv_bias) . Gate u ) + w1 u; without branches w0 = 1 and the second part is absent. *)
Record trained_layer (A hidden O : finType) := TrainedLayer {
  in_weight : A -> hidden -> R; in_bias : hidden -> R;
  taps : state hidden; conv_bias : hidden -> R;
  gate_weight : A -> hidden -> R; gate_bias : hidden -> R;
  out_weight : hidden -> O -> R; out_bias : O -> R
}.
Section Layer.
Variables (A hidden O : finType) (L : trained_layer A hidden O) (u : state A).
Definition In n h : R := \sum_a u n a * in_weight L a h + in_bias L h.
Definition Gate n h : R := \sum_a u n a * gate_weight L a h + gate_bias L h.
Definition unit_value n h : R := (convolved (taps L ^~ h) (In ^~ h) n + conv_bias L h) * Gate n h.
Definition apply_layer : state O := fun n o => \sum_h unit_value n h * out_weight L h o + out_bias L o.
End Layer.
Definition apply_branches (A hidden : finType) (w0 w1 : R) (L : trained_layer A hidden A) (u : state A) : state A :=
  fun n o => w0 * apply_layer L u n o + w1 * u n o.

Lemma convolvedE taps w w' n : (forall m, w m = w' m) -> convolved taps w n = convolved taps w' n.
Proof. by move=> E; apply: eq_bigr => m _; rewrite E. Qed.
Lemma convolved_delta w n : (n < N)%N -> convolved (fun l => (l == 0%N)%:R) w n = w n.
Proof.
move=> nN; rewrite /convolved (bigD1 (Ordinal nN)) //= (lag_self md nN) mul1r big1 ?addr0 // => m ne.
case E: lag => [[|l]|] //; last by rewrite mul0r.
by case/eqP: ne; apply/val_inj/(lag_inj nN (ltn_ord m) nN E (lag_self md nN)).
Qed.
Lemma convolved0 w n : convolved (fun=> 0) w n = 0.
Proof. by rewrite /convolved big1 // => m _; case: lag => // l; rewrite mul0r. Qed.
Lemma pick_right (C : finType) (F : C -> R) c : \sum_d F d * (d == c)%:R = F c.
Proof. by rewrite (bigD1 c) //= eqxx mulr1 big1 ?addr0 // => d /negbTE ->; rewrite mulr0. Qed.
Lemma nothing (C : finType) (F : C -> R) : \sum_d F d * 0 = 0.
Proof. by rewrite big1 // => d _; rewrite mulr0. Qed.

(* ---- an operator is a layer: input [u, B1, B2], hidden channels (H * u) . (u W + B1) and B2 . (u W + B1) ---- *)
Section OperatorAsLayer.
Variables (C : finType) (op : operator C).
Definition with_positions (u : state C) : state (C + (C + C))%channels := fun n c =>
  match c with inl c => u n c | inr (inl c) => B1 op n c | inr (inr c) => B2 op n c end.
Definition operator_as_layer : trained_layer (C + (C + C))%channels (C + C)%channels C := TrainedLayer
  (fun a h => match a, h with
              | inl d, inl c => (d == c)%:R
              | inr (inr d), inr c => (d == c)%:R
              | _, _ => 0 end) (fun=> 0)
  (fun l h => match h with inl c => H op l c | inr _ => (l == 0%N)%:R end) (fun=> 0)
  (fun a h => let c := match h with inl c | inr c => c end in
              match a with inl d => W op d c | inr (inl d) => (d == c)%:R | inr (inr _) => 0 end) (fun=> 0)
  (fun h c => match h with inl d | inr d => (d == c)%:R end) (fun=> 0).
(* Three channels in and two hidden channels for each channel of the operator. *)
Theorem operator_as_layer_width : #|{: C + C}| = (2 * #|C|)%N.
Proof. by rewrite card_sum addnn mul2n. Qed.
Theorem operator_as_layer_correct u n c : (n < N)%N ->
  apply_layer operator_as_layer (with_positions u) n c = apply_operator op u n c.
Proof.
move=> nN; rewrite /apply_layer addr0 big_sumType /= !pick_right.
have gate h : Gate operator_as_layer (with_positions u) n h =
    \sum_d u n d * W op d (match h with inl c | inr c => c end) + B1 op n (match h with inl c | inr c => c end).
  by rewrite /Gate addr0 !big_sumType /= pick_right nothing addr0.
rewrite /unit_value !gate /= !addr0 -mulrDl mulrC; congr (_ * (_ + _)).
  by apply: convolvedE => m; rewrite /In addr0 !big_sumType /= pick_right !nothing !addr0.
by rewrite convolved_delta // /In addr0 !big_sumType /= pick_right !nothing !add0r.
Qed.
End OperatorAsLayer.

(* ---- a layer is three operators on channels [p, g, u] and, where there are more outputs than these, padding ---- *)
Section LayerAsOperators.
Variables (A hidden O padding : finType) (L : trained_layer A hidden O).
Notation C := (hidden + (hidden + A) + padding)%channels.
Notation p h := (inl (inl h) : C).
Notation g h := (inl (inr (inl h)) : C).
Notation carried a := (inl (inr (inr a)) : C).
(* Output o is in channel [place o]; [output_of c] is the output that channel c holds, if any. *)
Variables (place : O -> C) (output_of : C -> option O) (w0 : R) (skip : A -> O -> R).
Hypothesis placed : pcancel place output_of.

Definition padded (u : state A) : state C := fun n c => if c is inl (inr (inr a)) then u n a else 0.
Definition mix W bias : operator C := Operator W (fun=> bias) (fun _ _ => 0) (fun _ _ => 1).
Definition first_operator : operator C := mix
  (fun d c => match d, c with
              | inl (inr (inr a)), inl (inl h) => in_weight L a h
              | inl (inr (inr a)), inl (inr (inl h)) => gate_weight L a h
              | inl (inr (inr a)), inl (inr (inr b)) => (a == b)%:R
              | _, _ => 0 end)
  (fun c => match c with inl (inl h) => in_bias L h | inl (inr (inl h)) => gate_bias L h | _ => 0 end).
Definition second_operator : operator C := Operator
  (fun d c => match d, c with
              | inl (inr (inl h')), inl (inl h) => (h' == h)%:R
              | inl (inr (inr a)), inl (inr (inr b)) => (a == b)%:R
              | _, _ => 0 end)
  (fun _ _ => 0)
  (fun l c => if c is inl (inl h) then taps L l h else 0)
  (fun _ c => if c is inl (inl h) then conv_bias L h else 1).
Definition third_operator : operator C := mix
  (fun d c => if output_of c is Some o then
                match d with inl (inl h) => w0 * out_weight L h o | inl (inr (inr a)) => skip a o | _ => 0 end
              else 0)
  (fun c => if output_of c is Some o then w0 * out_bias L o else 0).

Lemma mixE W bias (v : state C) n c : apply_operator (mix W bias) v n c = \sum_d v n d * W d c + bias c.
Proof. by rewrite /apply_operator /= convolved0 add0r mulr1. Qed.
Lemma sum_channels (F : C -> R) : \sum_c F c =
  \sum_h F (p h) + (\sum_h F (g h) + \sum_a F (carried a)) + \sum_z F (inr z).
Proof. by rewrite !big_sumType. Qed.
Lemma first_correct u n : let v := apply_operator first_operator (padded u) in
  [/\ forall h, v n (p h) = In L u n h, forall h, v n (g h) = Gate L u n h & forall a, v n (carried a) = u n a].
Proof.
have zero (T : finType) (F : T -> R) : \sum_t 0 * F t = 0 by rewrite big1 // => t _; rewrite mul0r.
split=> [h|h|a]; rewrite mixE sum_channels /= !zero ?add0r ?addr0 //.
by rewrite pick_right.
Qed.
Lemma second_correct u n : (n < N)%N -> let v := apply_operator second_operator (apply_operator first_operator (padded u)) in
  (forall h, v n (p h) = unit_value L u n h) /\ (forall a, v n (carried a) = u n a).
Proof.
have := first_correct u; move: (apply_operator first_operator (padded u)) => v /= Hv nN; have [Hp Hg Hu] := Hv n.
split=> [h|a]; rewrite /apply_operator sum_channels /= !nothing pick_right ?add0r !addr0.
- rewrite Hg mulrC /unit_value; congr ((_ + _) * _).
  by apply: convolvedE => m; case: (Hv m).
- by rewrite convolved0 add0r mulr1.
Qed.
Theorem layer_as_operators_correct u n o : (n < N)%N ->
  apply_operator third_operator (apply_operator second_operator (apply_operator first_operator (padded u))) n (place o) =
  w0 * apply_layer L u n o + \sum_a u n a * skip a o.
Proof.
move=> nN; have [Hp Hu] := second_correct u nN; rewrite mixE sum_channels placed /= !nothing add0r addr0.
rewrite /apply_layer mulrDr mulr_sumr addrAC; congr (_ + _ + _); apply: eq_bigr => x _.
  by rewrite Hp mulrCA.
by rewrite Hu.
Qed.
End LayerAsOperators.

(* With learned branch weights, where the layer has as many outputs as inputs. *)
Theorem branches_as_operators (A hidden padding : finType) (L : trained_layer A hidden A) place output_of w0 w1 u n o :
  pcancel place output_of -> (n < N)%N ->
  let skip a o := w1 *+ (a == o) in
  apply_operator (third_operator L output_of w0 skip)
    (apply_operator (second_operator padding L) (apply_operator (first_operator padding L) (padded u))) n (place o) =
  apply_branches w0 w1 L u n o.
Proof.
move=> placed nN; rewrite /= (layer_as_operators_correct L w0 _ placed u o nN); congr (_ + _).
by rewrite -(pick_right (fun a => w1 * u n a) o); apply: eq_bigr => a _; rewrite mulr_natr mulrnAr [u n a * _]mulrC.
Qed.
(* Without: w0 = 1, nothing skips. *)
Theorem layer_as_operators (A hidden O padding : finType) (L : trained_layer A hidden O) place output_of u n o :
  pcancel place output_of -> (n < N)%N ->
  apply_operator (third_operator L output_of 1 (fun _ _ => 0))
    (apply_operator (second_operator padding L) (apply_operator (first_operator padding L) (padded u))) n (place o) =
  apply_layer L u n o.
Proof. by move=> placed nN; rewrite (layer_as_operators_correct L 1 _ placed u o nN) mul1r nothing addr0. Qed.
End Operators.

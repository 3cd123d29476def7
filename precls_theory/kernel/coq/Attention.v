(* Networks of linear attention with literal rational weights, as they stand in a file: what they compute, and a decision
   procedure, proved sound, that they compute what is specified over named channels. One layer adds to a channel a sum, over
   heads and over the rows m that row n sees, of (query(n) . key(m)) value(m): in normal form
   coefficient * e(n) * sum over m of c(m) d(m), with channels (or ones) e, c and d. Only channels that are read later are
   compared. *)
From Coq Require Import QArith.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg zmodp matrix.
From Precls Require Import Scalars Network NormalForm.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Close Scope Q_scope.
Local Open Scope ring_scope.

(* ---- data ---- *)
Inductive mask := Full | CausalMask | Strict.
Record head := Head { queries : seq form; keys : seq form; values : seq (N * form) }.   (* a value goes to its column *)
Record attention := Attention {
  attention_rows : nat;
  attention_mask : mask;
  attention_positions : seq (nat * N * Q);
  attention_layers : seq (seq head)
}.
Definition sees (md : mask) (n m : nat) : bool :=
  match md with Full => true | CausalMask => (m <= n)%N | Strict => (m < n)%N end.

(* ---- meaning ---- *)
Section Meaning.
Variables (R : comRingType) (phi : scalars R) (md : mask) (T : nat).
Definition eval_score (h : head) (u : rows R) n m : R :=
  \sum_(p <- zip (queries h) (keys h)) eval_form phi p.1 (u n) * eval_form phi p.2 (u m).
Definition eval_heads (hs : seq head) (u : rows R) : rows R := fun n o =>
  u n o + \sum_(h <- hs) \sum_(m < T | sees md n m) eval_score h u n m *
                         \sum_(e <- values h | N.eqb e.1 o) eval_form phi e.2 (u m).
Definition eval_all (Ls : seq (seq head)) (u : rows R) : rows R := foldl (fun u hs => eval_heads hs u) u Ls.
End Meaning.
Definition eval_attention R (phi : scalars R) (net : attention) (u : rows R) : rows R :=
  eval_all phi (attention_mask net) (attention_rows net) (attention_layers net)
           (embed phi (attention_positions net) u).

(* ---- the same over named channels ---- *)
Definition lin := seq (Q * option chan).
Definition attended := (seq (lin * lin) * lin)%type.            (* queries and keys, and the value *)
Definition update := chan -> seq attended.                     (* what a layer adds to each channel *)
Definition mono := (Q * (option chan * option chan * option chan))%type.
Definition expand_attended (h : attended) : seq mono :=
  flatten [seq flatten [seq flatten [seq [seq (Qred (Qmult (Qmult q.1 k.1) w.1), (q.2, k.2, w.2)) | w <- nonzero h.2]
    | k <- nonzero p.2] | q <- nonzero p.1] | p <- h.1].
Definition before_or_same (c d : option chan) : bool :=
  match c, d with None, _ => true | Some _, None => false | Some c, Some d => chan_le c d end.
Definition tidy (t : mono) : mono :=
  let: (q, (e, c, d)) := t in if before_or_same c d then t else (q, (e, d, c)).
Fixpoint insert (t : mono) (ts : seq mono) : seq mono :=
  if ts is t' :: ts' then if t.2 == t'.2 then (Qred (Qplus t.1 t'.1), t.2) :: ts' else t' :: insert t ts' else [:: t].
Definition vanishes (ts : seq mono) : bool := all (fun t => Qeq_bool t.1 q0) (foldr (fun t => insert (tidy t)) [::] ts).
Definition expand_all (hs : seq attended) := flatten [seq expand_attended h | h <- hs].
Definition agree_on (hs hs' : seq attended) : bool :=
  vanishes (expand_all hs ++ [seq (Qopp t.1, t.2) | t <- expand_all hs']).

Section Named.
Variables (R : comRingType) (phi : scalars R) (md : mask) (T : nat).
Notation named := (named R).
Implicit Types (v : named) (u : rows R).
Definition eval_lin v n (l : lin) : R := \sum_(t <- l) phi t.1 * value v n t.2.
Definition eval_attended v n (h : attended) : R :=
  \sum_(m < T | sees md n m) (\sum_(p <- h.1) eval_lin v n p.1 * eval_lin v m p.2) * eval_lin v m h.2.
Definition eval_update (S : update) v : named := fun n c => v n c + \sum_(h <- S c) eval_attended v n h.
Definition eval_updates (Ss : seq update) v : named := foldl (fun v S => eval_update S v) v Ss.

Definition eval_mono v n (t : mono) : R :=
  phi t.1 * (value v n t.2.1.1 * \sum_(m < T | sees md n m) value v m t.2.1.2 * value v m t.2.2).
Definition eval_monos v n (ts : seq mono) : R := \sum_(t <- ts) eval_mono v n t.

Lemma eq_sum_all I (r : seq I) (A P : pred I) (F G : I -> R) : all A r -> (forall i, A i -> P i -> F i = G i) ->
  \sum_(i <- r | P i) F i = \sum_(i <- r | P i) G i.
Proof.
move=> + H; elim: r => [|i r IH] /=; first by rewrite !big_nil.
by case/andP=> ok /IH E; rewrite !big_cons; case: ifP => // p; rewrite E H.
Qed.
Lemma nonzero_lin v n l : eval_lin v n (nonzero l) = eval_lin v n l.
Proof. exact: nonzeroP. Qed.
Lemma product_of_sums v ks ws n :
  \sum_(k <- ks) \sum_(w <- ws) phi k.1 * phi w.1 * (\sum_(m < T | sees md n m) value v m k.2 * value v m w.2) =
  \sum_(m < T | sees md n m) eval_lin v m ks * eval_lin v m ws.
Proof.
under [in RHS]eq_bigr => m _ do rewrite mulr_suml.
rewrite [RHS]exchange_big; apply: eq_bigr => k _ /=; under [in RHS]eq_bigr => m _ do rewrite mulr_sumr.
rewrite [RHS]exchange_big; apply: eq_bigr => w _ /=; rewrite mulr_sumr; by apply: eq_bigr => m _; rewrite mulrACA.
Qed.
Lemma expand_attendedP v n h : eval_monos v n (expand_attended h) = eval_attended v n h.
Proof.
transitivity (\sum_(p <- h.1) eval_lin v n p.1 * \sum_(m < T | sees md n m) eval_lin v m p.2 * eval_lin v m h.2).
  rewrite /eval_monos /expand_attended big_flatten big_map; apply: eq_bigr => p _.
  under [in RHS]eq_bigr => m _ do rewrite -(nonzero_lin v m p.2) -(nonzero_lin v m h.2).
  rewrite -(nonzero_lin v n p.1) -product_of_sums big_flatten big_map mulr_suml; apply: eq_bigr => q _.
  rewrite big_flatten big_map mulr_sumr; apply: eq_bigr => k _; rewrite big_map mulr_sumr; apply: eq_bigr => w _.
  by rewrite /eval_mono /= weight_red !weightM -!mulrA; congr (_ * _); rewrite [RHS]mulrCA; congr (_ * _); rewrite mulrCA.
rewrite /eval_attended; under [in RHS]eq_bigr do rewrite mulr_suml.
rewrite exchange_big; apply: eq_bigr => p _; rewrite mulr_sumr; by apply: eq_bigr => m _; rewrite mulrA.
Qed.
Lemma expand_allP v n hs : eval_monos v n (expand_all hs) = \sum_(h <- hs) eval_attended v n h.
Proof. by rewrite /eval_monos big_flatten big_map; apply: eq_bigr => h _; rewrite -expand_attendedP. Qed.

Lemma tidyP v n t : eval_mono v n (tidy t) = eval_mono v n t.
Proof.
case: t => q [[e c] d]; rewrite /tidy; case: ifP => // _; rewrite /eval_mono /=.
by do 2 congr (_ * _); apply: eq_bigr => m _; rewrite mulrC.
Qed.
Lemma insertP v n t ts : eval_monos v n (insert t ts) = eval_mono v n t + eval_monos v n ts.
Proof.
elim: ts => [|t' ts IH] /=; first by rewrite /eval_monos big_seq1 big_nil addr0.
rewrite /eval_monos; case: eqP => [E|_]; rewrite !big_cons; last by rewrite [X in _ + X]IH addrCA.
by rewrite addrA /eval_mono /= -E -mulrDl weight_red weightD.
Qed.
Lemma vanishesP v n ts : vanishes ts -> eval_monos v n ts = 0.
Proof.
move=> H; have -> : eval_monos v n ts = eval_monos v n (foldr (fun t => insert (tidy t)) [::] ts).
  by elim: (ts) => //= t ts' IH; rewrite insertP tidyP -IH /eval_monos big_cons.
rewrite /eval_monos (eq_sum_all (G := fun=> 0) H) ?big1 // => t /(weight_is0 phi) z _; by rewrite /eval_mono z mul0r.
Qed.
Lemma agree_onP v n hs hs' : agree_on hs hs' ->
  \sum_(h <- hs) eval_attended v n h = \sum_(h <- hs') eval_attended v n h.
Proof.
move/(vanishesP v n); rewrite /eval_monos big_cat /= -/(eval_monos v n _) expand_allP big_map.
have -> : \sum_(t <- expand_all hs') eval_mono v n (Qopp t.1, t.2) = - \sum_(h <- hs') eval_attended v n h.
  by rewrite -expand_allP /eval_monos -sumrN; apply: eq_bigr => t _; rewrite /eval_mono /= weightN mulNr.
by move/eqP; rewrite subr_eq0 => /eqP.
Qed.

(* ---- a literal layer against a specified one ---- *)
Variable names : seq chan.
(* The columns that are read later hold their channels. *)
Definition follows (live : seq N) u v := forall n c x, (n < T)%N -> has (N.eqb c) live -> column names c = Some x -> u n c = v n x.
Definition lin_of (l : form) : lin := (const l, None) :: [seq (e.2, column names e.1) | e <- weights l].
Definition readable (live : seq N) (l : form) : bool :=
  all (fun e => has (N.eqb e.1) live && (column names e.1 != None)) (weights l).
Lemma lin_ofP live u v n l : (n < T)%N -> follows live u v -> readable live l ->
  eval_form phi l (u n) = eval_lin v n (lin_of l).
Proof.
move=> nT H ok; rewrite /eval_lin big_cons /= mulr1 addrC big_map /eval_form; congr (_ + _).
move: ok; rewrite /readable; elim: (weights l) => [|e es IH] /=; first by rewrite !big_nil.
case/andP=> /andP[le +] /IH E; rewrite !big_cons E; case Ec: column => [c|] // _.
by rewrite /= (H _ _ _ nT le Ec).
Qed.
Definition head_at (o : N) (h : head) : seq attended :=
  [seq ([seq (lin_of p.1, lin_of p.2) | p <- zip (queries h) (keys h)], lin_of e.2) | e <- values h & N.eqb e.1 o].
Definition head_readable (live : seq N) (o : N) (h : head) : bool :=
  has (fun e => N.eqb e.1 o) (values h) ==>
  [&& all (fun p => readable live p.1 && readable live p.2) (zip (queries h) (keys h)) &
      all (fun e => N.eqb e.1 o ==> readable live e.2) (values h)].
Definition check_column (live : seq N) (hs : seq head) (S : update) (o : N) : bool :=
  if column names o is Some x then
    [&& has (N.eqb o) live, all (head_readable live o) hs & agree_on (flatten [seq head_at o h | h <- hs]) (S x)]
  else false.
Lemma head_atP live u v n o h : (n < T)%N -> follows live u v -> head_readable live o h ->
  \sum_(m < T | sees md n m) eval_score phi h u n m * (\sum_(e <- values h | N.eqb e.1 o) eval_form phi e.2 (u m)) =
  \sum_(a <- head_at o h) eval_attended v n a.
Proof.
move=> nT H; rewrite /head_readable => ok; rewrite [RHS]big_map [RHS]big_filter.
under [LHS]eq_bigr do rewrite mulr_sumr.
rewrite [LHS]exchange_big; case: (boolP (has _ _)) ok => [_ /andP[oks okv]|none _]; last first.
  by rewrite -all_predC in none; apply: (eq_sum_all none) => e /= /negbTE ->.
apply: (eq_sum_all okv) => e /implyP ok /ok{}ok; apply: eq_bigr => m _.
rewrite (lin_ofP (ltn_ord m) H ok); congr (_ * _); rewrite /= /eval_score big_map.
by apply: (eq_sum_all oks) => p /andP[ok1 ok2] _; rewrite (lin_ofP nT H ok1) (lin_ofP (ltn_ord m) H ok2).
Qed.
Lemma check_columnP live u v hs S o x n : (n < T)%N -> follows live u v -> check_column live hs S o ->
  column names o = Some x -> eval_heads phi md T hs u n o = eval_update S v n x.
Proof.
rewrite /check_column => nT H + E; rewrite E => /and3P[lo ok /(agree_onP v n) same].
rewrite /eval_heads /eval_update (H _ _ _ nT lo E) -same big_flatten big_map; congr (_ + _).
by apply: (eq_sum_all ok) => h okh _; exact: (head_atP nT H okh).
Qed.

(* ---- all layers, the last one first ---- *)
Definition columns_in (l : form) : seq N := [seq e.1 | e <- weights l].
Definition merge_columns (xs ys : seq N) : seq N := foldr (fun x ys => if has (N.eqb x) ys then ys else x :: ys) ys xs.
Definition live_before (hs : seq head) (live : seq N) : seq N :=
  foldr (fun h known =>
    let es := [seq e <- values h | has (N.eqb e.1) live] in
    if es is [::] then known else
    merge_columns (flatten [seq columns_in l | l <- queries h ++ keys h ++ [seq e.2 | e <- es]]) known) live hs.
Fixpoint check_layers (Ls : seq (seq head)) (Us : seq update) (outputs : seq N) : option (seq N) :=
  match Ls, Us with
  | [::], [::] => Some outputs
  | hs :: Ls, U :: Us =>
      if check_layers Ls Us outputs is Some live then
        let live' := live_before hs live in if all (check_column live' hs U) live then Some live' else None
      else None
  | _, _ => None
  end.
Lemma check_layersP Ls Us outputs live u v : check_layers Ls Us outputs = Some live -> follows live u v ->
  follows outputs (eval_all phi md T Ls u) (eval_updates Us v).
Proof.
elim: Ls Us live u v => [|hs Ls IH] [|U Us] live u v //=; first by case=> ->.
case E: check_layers => [live'|] //; case: ifP => // /allP ok [<-] H; apply: IH E _.
move=> n c x nT /hasP[c' mem /N.eqb_eq ->] Ec; exact: (check_columnP nT H (ok _ mem) Ec).
Qed.
End Named.

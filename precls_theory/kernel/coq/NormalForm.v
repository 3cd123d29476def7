(* The normal form of a layer over named channels, and a decision procedure, proved sound, that a literal layer computes
   a layer in normal form. One BaseConv layer computes exactly the maps in which each output is a sum of terms
   coefficient * (filter * c) . d  with channels (or ones) c and d. *)
From Coq Require Import QArith.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg zmodp matrix.
From Precls Require Import Scalars Network.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Close Scope Q_scope.
Local Open Scope ring_scope.

(* ---- named channels: a family and up to two indices ---- *)
Inductive family :=
  Fnone | Fa | Fb | Fx | Faa | Fba | FP | Fq | FW | Fv | FG | Fc | Fprevious | Fr | Fra | FR | FM | FY | Fy
| Fis_start | Fat_target | Fu.
Definition code (f : family) : nat :=
  match f with
  | Fnone => 0 | Fa => 1 | Fb => 2 | Fx => 3 | Faa => 4 | Fba => 5 | FP => 6 | Fq => 7 | FW => 8 | Fv => 9 | FG => 10
  | Fc => 11 | Fprevious => 12 | Fr => 13 | Fra => 14 | FR => 15 | FM => 16 | FY => 17 | Fy => 18 | Fis_start => 19
  | Fat_target => 20 | Fu => 21
  end.
Definition families : seq family :=
  [:: Fnone; Fa; Fb; Fx; Faa; Fba; FP; Fq; FW; Fv; FG; Fc; Fprevious; Fr; Fra; FR; FM; FY; Fy; Fis_start; Fat_target; Fu].
Definition family_of (n : nat) : family := nth Fnone families n.
Lemma codeK : cancel code family_of. Proof. by case. Qed.
Definition family_eqMixin := CanEqMixin codeK.
Canonical family_eqType := EqType family family_eqMixin.
Definition chan := (family * nat * nat)%type.
Definition ch (f : family) (i : nat) : chan := (f, i, 0%N).
(* Entries (i, j) and (j, i) of a symmetric family are one channel. *)
Definition sym (f : family) (i j : nat) : chan := if (i <= j)%N then (f, i, j) else (f, j, i).
Definition chan_le (c d : chan) : bool :=
  let: (f, i, j) := c in let: (g, k, l) := d in
  (code f < code g)%N || (code f == code g) && ((i < k)%N || (i == k) && (j <= l)%N).

(* ---- sums of terms ---- *)
Definition term := (Q * filter * option chan * option chan)%type.
Definition spec := chan -> seq term.                          (* a layer in normal form *)

Definition constant (k : Q) : seq term := [:: (k, delta, None, None)].
Definition convolved (k : Q) (f : filter) (c : chan) : seq term := [:: (k, f, Some c, None)].
Definition linear (k : Q) (c : chan) : seq term := convolved k delta c.
Definition product (k : Q) (f : filter) (c d : chan) : seq term := [:: (k, f, Some c, Some d)].
Definition sum (D : nat) (F : nat -> seq term) : seq term := flatten [seq F j | j <- iota 0 D].

Definition sameQ (x y : Q) : bool := Z.eqb (Qnum x) (Qnum y) && Pos.eqb (Qden x) (Qden y).
Fixpoint sameQs (xs ys : seq Q) : bool :=
  match xs, ys with
  | [::], [::] => true
  | x :: xs, y :: ys => sameQ x y && sameQs xs ys
  | _, _ => false
  end.
Definition same_filter (f g : filter) := sameQs (head f) (head g) && sameQ (tail f) (tail g).
Lemma sameQP x y : sameQ x y -> x = y.
Proof. by case: x y => [a b] [c d] /andP[/Z.eqb_eq /= -> /Pos.eqb_eq /= ->]. Qed.
Lemma sameQsP xs ys : sameQs xs ys -> xs = ys.
Proof. by elim: xs ys => [|x xs IH] [|y ys] //= /andP[/sameQP -> /IH ->]. Qed.
Lemma same_filterP f g : same_filter f g -> f = g.
Proof. by case: f g => [a b] [c d] /andP[/sameQsP /= -> /sameQP /= ->]. Qed.

Section Meaning.
Variables (R : comRingType) (phi : scalars R) (md : mode) (N : nat).
Definition named := nat -> chan -> R.                         (* row, channel *)
Implicit Types (u : rows R) (v : named).

Definition value v n (c : option chan) : R := if c is Some c then v n c else 1.
Definition eval_term v n (t : term) : R :=
  let: (k, f, c, d) := t in phi k * (convolve phi md N f (fun m => value v m c) n * value v n d).
Definition eval_terms v n (ts : seq term) : R := \sum_(t <- ts) eval_term v n t.
Definition eval_spec (S : spec) v : named := fun n c => eval_terms v n (S c).
Definition eval_specs (Ss : seq spec) v : named := foldl (fun v S => eval_spec S v) v Ss.

Lemma eval_nil v n : eval_terms v n [::] = 0.
Proof. exact: big_nil. Qed.
Lemma eval_cat v n ss ts : eval_terms v n (ss ++ ts) = eval_terms v n ss + eval_terms v n ts.
Proof. exact: big_cat. Qed.
Lemma eval_sum v n D F : eval_terms v n (sum D F) = \sum_(j < D) eval_terms v n (F j).
Proof.
rewrite /sum -(big_mkord xpredT (fun j => eval_terms v n (F j))) /index_iota subn0.
by elim: (iota 0 D) => [|j js IH] /=; rewrite ?big_nil ?eval_nil // big_cons eval_cat IH.
Qed.
Lemma eval_convolved v n k f c : eval_terms v n (convolved k f c) = phi k * convolve phi md N f (fun m => v m c) n.
Proof. by rewrite /eval_terms big_seq1 /= mulr1. Qed.
Lemma eval_product v n k f c d :
  eval_terms v n (product k f c d) = phi k * (convolve phi md N f (fun m => v m c) n * v n d).
Proof. by rewrite /eval_terms big_seq1. Qed.
Lemma eval_linear v n k c : (n < N)%N -> eval_terms v n (linear k c) = phi k * v n c.
Proof. by move=> nN; rewrite eval_convolved deltaE. Qed.
Lemma eval_delta_product v n k c d : (n < N)%N -> eval_terms v n (product k delta c d) = phi k * (v n c * v n d).
Proof. by move=> nN; rewrite eval_product deltaE. Qed.
Lemma eval_constant v n k : (n < N)%N -> eval_terms v n (constant k) = phi k.
Proof. by move=> nN; rewrite /eval_terms big_seq1 /= deltaE // !mulr1. Qed.

(* ---- expansion of a literal layer ---- *)
(* The columns of u hold the named channels of v. *)
Definition column (names : seq chan) (c : BinNums.N) : option chan := nth None (map Some names) (N.to_nat c).
Definition holds (names : seq chan) u v := forall n c x, (n < N)%N -> column names c = Some x -> u n c = v n x.

Definition terms_of_form (names : seq chan) (l : form) : option (seq (Q * option chan)) :=
  if all (fun e => column names e.1 != None) (weights l) then
    Some ((const l, None) :: [seq (e.2, column names e.1) | e <- weights l])
  else None.
Definition nonzero (ts : seq (Q * option chan)) := [seq t <- ts | ~~ Qeq_bool t.1 q0].
Definition expand_hidden (names : seq chan) (h : hidden) (k : Q) : option (seq term) :=
  if terms_of_form names (conv h) is Some cs then
    if terms_of_form names (gate h) is Some gs then
      Some [seq (Qred (Qmult k (Qmult c.1 g.1)), filt h, c.2, g.2) | c <- nonzero cs, g <- nonzero gs]
    else None
  else None.
Fixpoint expand_out (names : seq chan) (L : layer) (ws : seq (BinNums.N * Q)) : option (seq term) :=
  if ws is e :: ws then
    if expand_hidden names (unit_at L e.1) e.2 is Some ts then
      if expand_out names L ws is Some ts' then Some (ts ++ ts') else None
    else None
  else Some [::].
Definition expand (names : seq chan) (L : layer) (o : nat) : option (seq term) :=
  let l := nth no_form (out L) o in
  if expand_out names L (weights l) is Some ts then Some ((const l, delta, None, None) :: ts) else None.

Lemma nonzeroP v n cs : \sum_(c <- nonzero cs) phi c.1 * value v n c.2 = \sum_(c <- cs) phi c.1 * value v n c.2.
Proof.
rewrite big_filter big_mkcond; apply: eq_bigr => c _.
by case: ifP => // /negbT; rewrite negbK => /(weight_is0 phi) ->; rewrite mul0r.
Qed.
Lemma terms_of_formP names l cs u v n : (n < N)%N -> holds names u v -> terms_of_form names l = Some cs ->
  eval_form phi l (u n) = \sum_(c <- cs) phi c.1 * value v n c.2.
Proof.
rewrite /terms_of_form => nN H; case: ifP => // ok [<-]; rewrite big_cons /= mulr1 addrC big_map /eval_form.
congr (_ + _); elim: (weights l) ok => [|e es IH] /=; first by rewrite !big_nil.
case/andP=> + /IH E; rewrite !big_cons E; case Ec: column => [c|] // _.
by rewrite /= (H _ _ _ nN Ec).
Qed.
Lemma expand_hiddenP names h k ts u v n : (n < N)%N -> holds names u v -> expand_hidden names h k = Some ts ->
  phi k * eval_hidden phi md N h u n = eval_terms v n ts.
Proof.
rewrite /expand_hidden => nN H; case Ec: terms_of_form => [cs|] //; case Eg: terms_of_form => [gs|] // [<-].
rewrite /eval_hidden (terms_of_formP nN H Eg).
rewrite (@convolveE _ _ _ _ _ _ (fun m => \sum_(c <- nonzero cs) phi c.1 * value v m c.2)); last first.
  by move=> m mN; rewrite nonzeroP; apply: terms_of_formP Ec.
rewrite -nonzeroP convolve_sum /eval_terms big_allpairs_dep /= big_distrlr /= mulr_sumr; apply: eq_bigr => c _.
rewrite mulr_sumr; apply: eq_bigr => g _; rewrite convolve_scale.
by rewrite weight_red !weightM -!mulrA; congr (_ * (_ * _)); rewrite mulrCA.
Qed.
Lemma expandP names L o ts u v n : (n < N)%N -> holds names u v -> expand names L (N.to_nat o) = Some ts ->
  eval_layer phi md N L u n o = eval_terms v n ts.
Proof.
rewrite /expand /eval_layer => nN H; case E: expand_out => [ts'|] // [<-].
rewrite /eval_terms big_cons /= deltaE // !mulr1 addrC; congr (_ + _).
elim: (weights _) ts' E => [|e ws IH] ts' /=; first by case=> <-; rewrite !big_nil.
case Eh: expand_hidden => [us|] //; case Ew: expand_out => [us'|] // [<-].
by rewrite big_cons big_cat -(IH _ Ew) (expand_hiddenP nN H Eh).
Qed.

(* ---- do two sums of terms agree? Equal terms are collected; every coefficient of the difference must vanish. ---- *)
Definition same_key (s t : term) : bool :=
  let: (_, f, a, b) := s in let: (_, g, c, d) := t in [&& a == c, b == d & same_filter f g].
Definition factor_le (a b : option chan) :=
  match a, b with None, _ => true | Some _, None => false | Some a, Some b => chan_le a b end.
(* A product that is not convolved commutes: its factors are sorted. *)
Definition sorted_term (t : term) : term :=
  let: (k, f, a, b) := t in if same_filter f delta && ~~ factor_le a b then (k, f, b, a) else t.
Fixpoint insert (t : term) (acc : seq term) : seq term :=
  if acc is s :: acc' then
    if same_key s t then
      let: (k, f, a, b) := s in (Qred (Qplus k t.1.1.1), f, a, b) :: acc'
    else s :: insert t acc'
  else [:: t].
Definition collect (ts : seq term) : seq term := foldr (fun t acc => insert (sorted_term t) acc) [::] ts.
Definition negated (ts : seq term) : seq term := [seq (let: (k, f, a, b) := t in (Qopp k, f, a, b)) | t <- ts].
Definition agree (ss ts : seq term) : bool := all (fun t => Qeq_bool t.1.1.1 q0) (collect (ss ++ negated ts)).

Lemma sorted_termP v n t : (n < N)%N -> eval_term v n (sorted_term t) = eval_term v n t.
Proof.
case: t => [[[k f] a] b] /= nN; case: ifP => // /andP[/same_filterP -> _] /=.
by rewrite !deltaE // [value v n b * _]mulrC.
Qed.
Lemma insertP v n t acc : eval_terms v n (insert t acc) = eval_term v n t + eval_terms v n acc.
Proof.
case: t => [[[k' g] c] d]; rewrite /eval_terms; elim: acc => [|[[[k f] a] b] acc IH]; first by rewrite big_seq1 big_nil addr0.
rewrite [insert _ _]/=; case: ifP => [|_]; last by rewrite !big_cons IH addrCA.
case/and3P=> [/eqP -> /eqP -> /same_filterP ->].
by rewrite !big_cons /= weight_red weightD mulrDl addrA [in RHS](addrC (phi k' * _)).
Qed.
Lemma collectP v n ts : (n < N)%N -> eval_terms v n (collect ts) = eval_terms v n ts.
Proof.
move=> nN; elim: ts => [|t ts IH]; first by rewrite /eval_terms !big_nil.
by rewrite /= insertP IH sorted_termP // /eval_terms big_cons.
Qed.
Lemma negatedP v n ts : eval_terms v n (negated ts) = - eval_terms v n ts.
Proof.
rewrite /eval_terms big_map -sumrN; apply: eq_bigr => -[[[k f] a] b] _ /=.
by rewrite weightN mulNr.
Qed.
Theorem agreeP v n ss ts : (n < N)%N -> agree ss ts -> eval_terms v n ss = eval_terms v n ts.
Proof.
move=> nN A; apply/eqP; rewrite -subr_eq0 -negatedP -eval_cat -collectP //.
rewrite /eval_terms; move: A; rewrite /agree; elim: (collect _) => [|[[[k f] a] b] es IH]; first by rewrite big_nil.
by case/andP=> /(weight_is0 phi) /= E /IH; rewrite big_cons /= E mul0r add0r.
Qed.

(* ---- channels that are equal share a column: names that stand for another ---- *)
Definition aliases := seq (chan * chan).
Definition alias (al : aliases) (c : chan) : chan := if [seq p <- al | p.1 == c] is p :: _ then p.2 else c.
Definition renamed (al : aliases) (ts : seq term) : seq term :=
  if al is [::] then ts else
  [seq (let: (k, f, c, d) := t in (k, f, omap (alias al) c, omap (alias al) d)) | t <- ts].
Definition aliased (al : aliases) v := forall p, p \in al -> forall n, (n < N)%N -> v n p.1 = v n p.2.
Lemma aliasP al v n c : (n < N)%N -> aliased al v -> v n (alias al c) = v n c.
Proof.
rewrite /alias => nN H; case E: [seq _ <- _ | _] => [|p ps] //.
have: p \in [seq p <- al | p.1 == c] by rewrite E mem_head.
by rewrite mem_filter => /andP[/eqP <- /H ->].
Qed.
Lemma renamedP al v n ts : (n < N)%N -> aliased al v -> eval_terms v n (renamed al ts) = eval_terms v n ts.
Proof.
rewrite /renamed => nN H; case: al H => // p al H; move: (p :: al) H => {p}al H.
rewrite /eval_terms big_map; apply: eq_bigr => -[[[k f] c] d] _ /=.
have E m o : (m < N)%N -> value v m (omap (alias al) o) = value v m o by case: o => //= x mN; rewrite aliasP.
by rewrite E //; congr (_ * (_ * _)); apply: convolveE => m mN; rewrite E.
Qed.

(* ---- a literal layer computes a layer in normal form ---- *)
Definition check_layer (al : aliases) (names names' : seq chan) (L : layer) (S : spec) : bool :=
  (size names' == size (out L)) &&
  all (fun oc => if expand names L oc.1 is Some ts then agree ts (renamed al (S oc.2)) else false)
      (zip (iota 0 (size names')) names').
Theorem check_layerP al names names' L S u v :
  check_layer al names names' L S -> aliased al v -> holds names u v ->
  holds names' (eval_layer phi md N L u) (eval_spec S v).
Proof.
case/andP=> _ A al_v H n o c nN; rewrite /column => Ec.
have lt: (N.to_nat o < size names')%N.
  by rewrite ltnNge -(size_map Some); apply/negP => le; rewrite nth_default in Ec.
move: Ec; rewrite (nth_map c) // => -[Ec].
have mem: (N.to_nat o, c) \in zip (iota 0 (size names')) names'.
  have <- : nth (0%N, c) (zip (iota 0 (size names')) names') (N.to_nat o) = (N.to_nat o, c).
    by rewrite nth_zip ?size_iota // nth_iota // add0n Ec.
  by apply: mem_nth; rewrite size_zip size_iota minnn.
have /= := allP A _ mem; case E: expand => [ts|] // ok.
by rewrite (expandP nN H E) (agreeP v nN ok) renamedP.
Qed.

Definition reads_of (t : term) : seq chan := let: (_, _, c, d) := t in seq_of_opt c ++ seq_of_opt d.
Definition find_alias al (names' : seq chan) (S : spec) (c : chan) : option chan :=
  ohead [seq c' <- names' | agree (renamed al (S c)) (renamed al (S c'))].
(* All entries of the matrix M, of which few have a channel where it is a multiple of the identity. *)
Definition square_of (names' : seq chan) : seq chan :=
  let D := foldr (fun c m => maxn c.1.2.+1 m) 0%N names' in
  if has (fun c => c.1.1 == FM) names' then [seq (FM, i, j) | i <- iota 0 D, j <- iota 0 D] else [::].
Definition new_aliases al (names' : seq chan) (S : spec) (needed : seq chan) : aliases :=
  pmap (fun c => omap (pair c) (find_alias al names' S c)) (undup [seq c <- needed ++ square_of names' | c \notin names']).
Lemma new_aliasesP al names' S needed v : aliased al v -> aliased (new_aliases al names' S needed) (eval_spec S v).
Proof.
move=> H p; rewrite mem_pmap => /mapP[c _]; rewrite /find_alias; case E: [seq _ <- _ | _] => [|c' cs] //= [->] n nN /=.
have: c' \in [seq c' <- names' | agree (renamed al (S c)) (renamed al (S c'))] by rewrite E mem_head.
by rewrite mem_filter => /andP[/(agreeP v nN)]; rewrite !renamedP.
Qed.
End Meaning.

(* ---- a network: stored layers and normal forms, each with an order; repeated layers are checked once ---- *)
Section Run.
Variables (inputs : seq chan) (table : seq (layer * seq chan)) (specs : seq spec) (outputs : seq chan).
Definition stored (l : nat) := nth (Layer [::] [::], [::]) table l.
Definition spec_at (s : nat) : spec := nth (fun=> [::]) specs s.
Definition names_at (l : option nat) : seq chan := if l is Some l then (stored l).2 else inputs.
(* Names before, stored layer, normal form, the two that follow, aliases before. *)
Definition key := (option nat * nat * nat * option (nat * nat) * aliases)%type.
Definition check_one (k : key) : option aliases :=
  let: (before, l, s, next, al) := k in
  let needed := if next is Some (l', s') then
                  flatten [seq flatten (map reads_of (spec_at s' c)) | c <- (stored l').2]
                else outputs in
  if check_layer al (names_at before) (stored l).2 (stored l).1 (spec_at s) then
    Some (new_aliases al (stored l).2 (spec_at s) needed)
  else None.
Fixpoint check_run (memo : option (key * option aliases)) (before : option nat) (al : aliases)
    (steps : seq (nat * nat)) : option (option nat * aliases) :=
  if steps is (l, s) :: steps' then
    let k : key := (before, l, s, ohead steps', al) in
    let verdict := if memo is Some (k', verdict) then if k' == k then verdict else check_one k else check_one k in
    if verdict is Some al' then check_run (Some (k, verdict)) (Some l) al' steps' else None
  else Some (before, al).

Variables (R : comRingType) (phi : scalars R) (md : mode) (N : nat).
Lemma check_runP memo before al steps last al' u v :
  (if memo is Some (k, verdict) then verdict = check_one k else True) ->
  check_run memo before al steps = Some (last, al') ->
  aliased N al v -> holds N (names_at before) u v ->
  let v' := eval_specs phi md N [seq spec_at p.2 | p <- steps] v in
  aliased N al' v' /\ holds N (names_at last) (eval_layers phi md N [seq (stored p.1).1 | p <- steps] u) v'.
Proof.
elim: steps memo before al u v => [|[l s] steps IH] memo before al u v memo_ok /=; first by case=> -> ->.
set k := (before, l, s, ohead steps, al).
have -> : (if memo is Some (k', verdict) then if k' == k then verdict else check_one k else check_one k) = check_one k.
  by case: memo memo_ok => // -[k' verdict] ->; case: eqP => // ->.
case E: (check_one k) => [al1|] // run al_v H.
move: (E); rewrite /check_one /k; case: ifP => // ok [al1E].
apply: IH run _ _; first by rewrite E.
  by rewrite -al1E; apply: new_aliasesP.
exact: check_layerP ok al_v H.
Qed.
End Run.

(* The width of whole literal networks, first layers and masks included: for every algorithm and all its parameters a bound on
   the hidden channels of each layer. Widths.v has sharper ones for the layers that repeat. *)
From Coq Require Import QArith Lia.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg zmodp matrix.
From Precls Require Import Scalars Network NormalForm Descent Families Gradient Newton Residual Primitives Layouts.
From Precls Require Import Algorithms Certificate Soundness Literal Widths.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Close Scope Q_scope.

(* ---- layers, each with channels among which are all that the next ones read ---- *)
Section Within.
Variables (K : nat) (outputs : seq chan).
Definition within (L : seq chan) (Ts : seq spec) : Prop :=
  [/\ uniq (names_before Ts outputs), {subset names_before Ts outputs <= L}
    & forall names, all (fun l => width l <= K) (compile_all names Ts outputs)].
(* The layer T makes the channels L of the channels L', with at most K terms. *)
Definition layer_within (L' L : seq chan) (T : spec) : Prop :=
  sumn [seq size (T c) | c <- L] <= K /\ forall c, c \in L -> all (fun d => d \in L') (reads (T c)).
Lemma within_nil L : uniq outputs -> {subset outputs <= L} -> within L [::].
Proof. by []. Qed.
Lemma within_cons L' L T Ts : layer_within L' L T -> within L Ts -> within L' (T :: Ts).
Proof.
move=> [small made] [u sub W]; split=> [|d|names] /=; first exact: undup_uniq.
- rewrite mem_undup => H; have : all (fun d => d \in L') (reads (terms_of T (names_before Ts outputs))); last by move/allP; apply.
  rewrite /terms_of {d H}; elim: (names_before Ts outputs) sub => // c cs IH sub /=.
  by rewrite reads_cat all_cat made ?IH ?sub ?mem_head // => d mem; rewrite sub // inE mem orbT.
- by rewrite W andbT compile_width (leq_trans (sum_within _ u sub)).
Qed.
Lemma within_map X (S : X -> spec) L xs Ts : (forall x, layer_within L L (S x)) -> within L Ts -> within L (map S xs ++ Ts).
Proof. by move=> H W; elim: xs => //= x xs IH; apply: within_cons IH. Qed.
Lemma within_nseq T L n Ts : layer_within L L T -> within L Ts -> within L (nseq n T ++ Ts).
Proof. by move=> H W; elim: n => //= n IH; apply: within_cons IH. Qed.
End Within.

(* ---- channels by families: vectors, matrices and single ones ---- *)
Section Channels.
Variable D : nat.
Definition chans (vs ss : seq family) (ones : seq chan) : seq chan :=
  flatten [seq vector_names D f | f <- vs] ++ flatten [seq square D f | f <- ss] ++ ones.
Lemma in_chans vs ss ones (f : family) (i j : nat) : ((f, i, j) \in chans vs ss ones) =
  [|| [&& f \in vs, i < D & j == 0], [&& f \in ss, i < D & j < D] | (f, i, j) \in ones].
Proof.
rewrite /chans !mem_cat; congr (_ || (_ || _)).
- elim: vs => //= g vs IH; rewrite mem_cat IH inE andb_orl; congr (_ || _).
  apply/mapP/and3P => [[i' + [-> -> ->]]|[/eqP -> iD /eqP ->]]; first by rewrite mem_iota.
  by exists i; rewrite ?mem_iota.
- elim: ss => //= g ss IH; rewrite mem_cat IH inE andb_orl; congr (_ || _).
  apply/allpairsP/and3P => [[[a b] [/= + + [-> -> ->]]]|[/eqP -> iD jD]]; first by rewrite !mem_iota.
  by exists (i, j); rewrite !mem_iota.
Qed.
Lemma in_vector vs ss ones f i : f \in vs -> i < D -> ch f i \in chans vs ss ones.
Proof. by move=> mem iD; rewrite in_chans mem iD. Qed.
Lemma in_matrix vs ss ones f i j : f \in ss -> i < D -> j < D -> (f, i, j) \in chans vs ss ones.
Proof. by move=> mem iD jD; rewrite in_chans mem iD jD orbT. Qed.
Lemma in_symmetric vs ss ones f i j : f \in ss -> i < D -> j < D -> sym f i j \in chans vs ss ones.
Proof. by move=> mem iD jD; rewrite /sym; case: leqP => _; apply: in_matrix. Qed.
Lemma in_one vs ss ones c : c \in ones -> c \in chans vs ss ones.
Proof. by move=> mem; rewrite /chans !mem_cat mem !orbT. Qed.
Lemma vectors_in f vs ss ones : f \in vs -> {subset vector_names D f <= chans vs ss ones}.
Proof. by move=> mem c /mapP[i + ->]; rewrite mem_iota => iD; apply: in_vector. Qed.

(* At most [v f] terms for an entry of a vector, [m f] for one of a matrix. *)
Lemma layer_within_families K L' T vs ss ones (v m : family -> nat) :
  D * sumn (map v vs) + D * D * sumn (map m ss) + sumn [seq size (T c) | c <- ones] <= K ->
  (forall f i, f \in vs -> i < D -> size (T (ch f i)) <= v f /\ all (fun d => d \in L') (reads (T (ch f i)))) ->
  (forall f i j, f \in ss -> i < D -> j < D -> size (T (f, i, j)) <= m f /\ all (fun d => d \in L') (reads (T (f, i, j)))) ->
  all (fun c => all (fun d => d \in L') (reads (T c))) ones ->
  layer_within K L' (chans vs ss ones) T.
Proof.
have bounded (g : chan -> nat) k s : (forall c, c \in s -> g c <= k) -> sumn (map g s) <= size s * k.
  elim: s => //= c s IH H; rewrite mulSn leq_add ?H ?mem_head ?IH // => d mem; by rewrite H // inE mem orbT.
move=> small Hv Hm Ho; split; last first.
  case=> [[f i] j]; rewrite /chans !mem_cat => /or3P[].
  + by case/flatten_mapP=> g mem /mapP[i' + ->]; rewrite mem_iota => iD; case: (Hv g i' mem iD).
  + case/flatten_mapP=> g mem /allpairsP[[a b] [/= + + ->]]; rewrite !mem_iota => iD jD; by case: (Hm g a b mem iD jD).
  + by move=> mem; have /allP := Ho; apply.
apply: leq_trans small; rewrite /chans !map_cat !sumn_cat addnA leq_add2r; apply: leq_add.
- elim: vs Hv => //= f vs IH Hv; rewrite map_cat sumn_cat mulnDr; apply: leq_add; last first.
    by apply: IH => g i mem; apply: Hv; rewrite inE mem orbT.
  rewrite -{2}(size_iota 0 D) -(size_map (ch f)); apply: bounded => c /mapP[i + ->]; rewrite mem_iota => iD.
  by case: (Hv f i (mem_head _ _) iD).
- elim: ss Hm => //= f ss IH Hm; rewrite map_cat sumn_cat mulnDr; apply: leq_add; last first.
    by apply: IH => g i j mem; apply: Hm; rewrite inE mem orbT.
  have -> : D * D = size (square D f) by rewrite size_allpairs !size_iota.
  apply: bounded => c /allpairsP[[i j] [/= + + ->]]; rewrite !mem_iota => iD jD.
  by case: (Hm f i j (mem_head _ _) iD jD).
Qed.
(* The same, with one statement for each family that is listed. *)
Fixpoint each (P : family -> Prop) (fs : seq family) : Prop := if fs is f :: fs then P f /\ each P fs else True.
Lemma eachP P fs : each P fs -> forall f, f \in fs -> P f.
Proof. by elim: fs => //= g fs IH [Pg H] f; rewrite inE => /orP[/eqP -> // | mem]; apply: IH. Qed.
Lemma layer_within_listed K L' T vs ss ones (v m : family -> nat) :
  D * sumn (map v vs) + D * D * sumn (map m ss) + sumn [seq size (T c) | c <- ones] <= K ->
  each (fun f => forall i, i < D -> size (T (ch f i)) <= v f /\ all (fun d => d \in L') (reads (T (ch f i)))) vs ->
  each (fun f => forall i j, i < D -> j < D ->
    size (T (f, i, j)) <= m f /\ all (fun d => d \in L') (reads (T (f, i, j)))) ss ->
  all (fun c => all (fun d => d \in L') (reads (T c))) ones ->
  layer_within K L' (chans vs ss ones) T.
Proof.
move=> small /eachP Hv /eachP Hm Ho; apply: layer_within_families small _ _ Ho => [f i mem|f i j mem]; first exact: Hv.
exact: Hm.
Qed.
End Channels.

(* ---- a mask and the layers of each algorithm ---- *)
Notation one_b := (ch Fb 0).
Notation one_r := (ch Fr 0).
Lemma size_products D F : (forall j, size (F j) = 1) -> size (sum D F) = D.
Proof. by move/size_sum ->; rewrite muln1. Qed.
Lemma size_identity i j (k : Q) : size (if i == j :> nat then constant k else [::]) <= 1.
Proof. by case: eqP. Qed.
(* A bound on the hidden channels of every layer. *)
Definition width_of (alg : algorithm) : nat :=
  match alg with
  | GradientDescent ResidualForm _ _ D _ _ => 5 * D + 2
  | GradientDescent GramForm _ _ D _ _ | HeavyBall _ _ D _ _ _ | Chebyshev _ _ D _ _ _ => 2 * D ^ 2 + 6 * D + 1
  | GradientDescent DoublingForm _ _ D _ _ => D ^ 3 + 3 * D ^ 2 + 3 * D + 1
  | GradientDescent TightForm _ _ D _ _ => 2 * D ^ 3 + 4 * D ^ 2 + 3 * D + 1
  | NewtonIteration _ _ D _ _ _ => 2 * D ^ 3 + 2 * D ^ 2 + 3 * D + 2
  | Read _ C _ _ _ _ _ => 3 * C
  | Linear _ W c => (size W).+1 * size c
  | Multiply _ C _ _ _ _ => C
  end.
Section Layers.
Variable D : nat.
Notation chans := (chans D).
Notation within_families := layer_within_listed.

Lemma reads_matvec (P : pred chan) k F M f i : (forall j, j < D -> P (sym M i j)) -> (forall j, j < D -> P (ch f j)) ->
  all P (reads (sum D (fun j => product k F (sym M i j) (ch f j)))).
Proof. by move=> HM Hf; apply: reads_sum => j jD; rewrite /= HM ?Hf. Qed.
Lemma mask_within : layer_within (3 * D + 1) (chans [:: Fa] [::] [:: one_b; is_start]) (chans [:: Fa; Fx] [::] [:: one_b]) mask_layer.
Proof.
apply: (within_families (v := fun f => if f is Fa then 2 else 1) (m := fun=> 0)).
- by rewrite /= !muln0 !addn0 mulnC.
- by do ?[exact: I | apply: conj] => i iD; rewrite /= /ch !in_chans iD.
- by [].
- by rewrite /= /ch !in_chans.
Qed.
Lemma layer_weaken K K' L' L T : K <= K' -> layer_within K L' L T -> layer_within K' L' L T.
Proof. by move=> le [H made]; split=> //; exact: leq_trans le. Qed.

(* residual form *)
Notation residual_after := (chans [:: Fa; Fx] [::] [:: one_b; one_r]).
Notation residual_between := (chans [:: Fa; Fx; Fra] [::] [:: one_b]).
Lemma residual_first_within : layer_within (5 * D + 2) (chans [:: Fa; Fx] [::] [:: one_b]) residual_after (residual_first D).
Proof.
apply: (within_families (v := fun=> 1) (m := fun=> 0)).
- by rewrite /= size_cat size_products //= -!plusE -!multE; apply/leP; lia.
- by do ?[exact: I | apply: conj] => i iD; rewrite /= /ch !in_chans iD.
- by [].
- rewrite /= -/(reads (_ ++ _)) reads_cat all_cat /= [one_b \in _]in_chans /= !andbT.
  by apply: reads_sum => j jD; rewrite /= !in_vector.
Qed.
Lemma residual_outer_within : layer_within (5 * D + 2) residual_after residual_between residual_outer.
Proof.
apply: (within_families (v := fun=> 1) (m := fun=> 0)).
- by rewrite /= -!plusE -!multE; apply/leP; lia.
- by do ?[exact: I | apply: conj] => i iD; rewrite /= /ch !in_chans ?iD.
- by [].
- by rewrite /= /ch !in_chans.
Qed.
Lemma residual_step_within s : layer_within (5 * D + 2) residual_between residual_after (residual_step D s).
Proof.
apply: (within_families (v := fun f => if f is Fx then 2 else 1) (m := fun=> 0)).
- by rewrite /= !size_cat !size_products //= -!plusE -!multE; apply/leP; lia.
- by do ?[exact: I | apply: conj] => i iD; rewrite /= /ch !in_chans ?iD.
- by [].
- rewrite /= -/(reads (_ ++ _)) !reads_cat !all_cat /= [one_b \in _]in_chans /= !andbT.
  by apply/andP; split; apply: reads_sum => j jD; rewrite /= !in_vector.
Qed.

(* Gram form, heavy ball and Chebyshev *)
Notation outer_after := (chans [:: Fba; Fx] [:: Faa] [::]).
Notation plain := (chans [:: Fa; Fx] [::] [:: one_b]).
Notation gram_after := (chans [:: Fc; Fprevious; Fx] [:: FG] [::]).
Lemma spread_within lay i : i < D -> size (spread_of lay i) <= 1 /\ all (fun d => d \in plain) (reads (spread_of lay i)).
Proof. by move=> iD; case: lay; rewrite /= !in_vector. Qed.
Lemma outer_within lay : layer_within (D ^ 2 + 2 * D) plain outer_after (outer_layer (spread_of lay)).
Proof.
apply: (within_families (v := fun=> 1) (m := fun=> 1)) => //.
- by rewrite /= !expnS expn0 -!plusE -!multE; apply/leP; lia.
- by do ?[exact: I | apply: conj] => i iD; [rewrite /= /ch !in_chans iD | exact: spread_within].
- by do ?[exact: I | apply: conj] => i j iD jD; rewrite /= !in_vector.
Qed.
Lemma first_step_within acc s i : i < D ->
  size (first_step D acc s i) <= D + 2 /\ all (fun d => d \in outer_after) (reads (first_step D acc s i)).
Proof.
move=> iD; rewrite /first_step !size_cat size_matvec !reads_cat !all_cat /= !in_vector //= andbT addn1 add1n addn2; split=> //.
by apply: reads_matvec => j jD; [apply: in_symmetric | apply: in_vector].
Qed.
Lemma gram_first_within acc step : layer_within (2 * D ^ 2 + 6 * D) outer_after gram_after (gram_first D acc step).
Proof.
apply: (within_families (v := fun f => if f is Fx then D + 2 else 1) (m := fun=> 1)) => //.
- by rewrite /= !expnS expn0 -!plusE -!multE; apply/leP; nia.
- by do ?[exact: I | apply: conj] => i iD; [rewrite /= /ch !in_chans iD | rewrite /= /ch !in_chans iD | exact: first_step_within].
- by do ?[exact: I | apply: conj] => i j iD jD; rewrite /= in_matrix.
Qed.
Lemma gram_next_within step : layer_within (2 * D ^ 2 + 6 * D) gram_after gram_after (gram_next D step).
Proof.
apply: (within_families (v := fun f => if f is Fx then D + 4 else 1) (m := fun=> 1)) => //.
- by rewrite /= !expnS expn0 -!plusE -!multE; apply/leP; nia.
- do ?[exact: I | apply: conj] => i iD; rewrite /= ?in_vector //.
  rewrite size_cat size_matvec /= !addnS addn0; split=> //; rewrite -/(reads (_ ++ _)) reads_cat all_cat /= in_vector //= andbT.
  by apply: reads_matvec => j jD; [apply: in_symmetric | apply: in_vector].
- by do ?[exact: I | apply: conj] => i j iD jD; rewrite /= in_matrix.
Qed.
(* doubling form *)
Notation doubling_after := (chans [:: Fq; Fx] [:: FP] [::]).
Lemma doubling_first_within acc s :
  layer_within (D ^ 3 + 3 * D ^ 2 + 3 * D + 1) outer_after doubling_after (doubling_first D acc s).
Proof.
apply: (within_families (v := fun f => if f is Fx then D + 2 else 1) (m := fun=> 2)) => //.
- by rewrite /= !expnS expn0 -!plusE -!multE; apply/leP; nia.
- by do ?[exact: I | apply: conj] => i iD; [rewrite /= /ch !in_chans iD | exact: first_step_within].
- by do ?[exact: I | apply: conj] => i j iD jD; rewrite /= in_matrix //; case: eqP.
Qed.
Lemma doubling_next_within : layer_within (D ^ 3 + 3 * D ^ 2 + 3 * D + 1) doubling_after doubling_after (doubling_next D).
Proof.
apply: (within_families (v := fun=> D + 1) (m := fun=> D)) => //.
- by rewrite /= !expnS expn0 -!plusE -!multE; apply/leP; nia.
- do ?[exact: I | apply: conj] => i iD; rewrite /= size_cat size_matvec; split=> //;
  rewrite -/(reads (_ ++ _)) reads_cat all_cat /= in_vector //= andbT;
  by apply: reads_matvec => j jD; [apply: in_symmetric | apply: in_vector].
- do ?[exact: I | apply: conj] => i j iD jD; rewrite /= size_products //; split=> //.
  by apply: reads_sum => k kD; rewrite /= !in_symmetric.
Qed.
(* tight form *)
Notation tight_after := (chans [:: Fv; Fx] [:: FW] [::]).
Lemma tight_first_within lay s : layer_within (2 * D ^ 3 + 4 * D ^ 2 + 3 * D + 1) plain tight_after (tight_first (spread_of lay) s).
Proof.
apply: (within_families (v := fun=> 1) (m := fun=> 1)) => //.
- by rewrite /= !expnS expn0 -!plusE -!multE; apply/leP; nia.
- by do ?[exact: I | apply: conj] => i iD; [rewrite /= /ch !in_chans iD | exact: spread_within].
- by do ?[exact: I | apply: conj] => i j iD jD; rewrite /= !in_vector.
Qed.
Lemma tight_next_within acc digit :
  layer_within (2 * D ^ 3 + 4 * D ^ 2 + 3 * D + 1) tight_after tight_after (tight_next D acc digit).
Proof.
apply: (within_families (v := fun f => if f is Fx then D + 2 else 2 * D + 1) (m := fun=> 2 * D + 1)) => //.
- by rewrite /= !expnS expn0 -!plusE -!multE; apply/leP; nia.
- do ?[exact: I | apply: conj] => i iD.
  + rewrite /= in_vector //= size_cat size_matvec size_products // addnn mul2n addn1; split=> //.
    rewrite -/(reads (_ ++ _)) reads_cat all_cat; apply/andP; split.
      by apply: reads_matvec => j jD; [apply: in_symmetric | apply: in_vector].
    by apply: reads_sum => j jD; rewrite /= in_vector ?in_symmetric.
  + case: digit; rewrite /= in_vector //=; last by rewrite addn2.
    rewrite size_cat size_matvec /= addn1 addn2; split=> //; rewrite -/(reads (_ ++ _)) reads_cat all_cat /= in_vector //= andbT.
    by apply: reads_matvec => j jD; [apply: in_symmetric | apply: in_vector].
- do ?[exact: I | apply: conj] => i j iD jD; rewrite /= in_matrix //= size_cat !size_products // addnn mul2n addn1; split=> //.
  by rewrite -/(reads (_ ++ _)) reads_cat all_cat; apply/andP; split; apply: reads_sum => k kD; rewrite /= !in_symmetric.
Qed.
(* Newton *)
Notation K := (2 * D ^ 3 + 2 * D ^ 2 + 3 * D + 2).
Notation newton_data := (chans [:: Fa] [::] [:: one_b]).
Notation outers_after := (chans [:: Fa; Fba] [:: Faa] [:: one_b]).
Notation pair_after := (chans [:: Fa; Fc; Fy] [:: FR; FM] [:: one_b]).
Notation inverse_after := (chans [:: Fa; Fx] [:: FM] [:: one_b]).
Notation refine_after := (chans [:: Fa; Fx] [:: FM] [:: one_b; one_r]).
Notation refine_between := (chans [:: Fa; Fx; Fra] [:: FM] [:: one_b]).
Notation direct_after := (chans [:: Fc] [:: FG; FM] [::]).
Notation direct_between := (chans [:: Fc] [:: FG; FM; FY] [::]).
Lemma newton_outer_within : layer_within K newton_data outers_after newton_outer.
Proof.
apply: (within_families (v := fun=> 1) (m := fun=> 1)) => //=.
- by rewrite !expnS expn0 -!plusE -!multE; apply/leP; nia.
- by do ?[exact: I | apply: conj] => i iD; rewrite /= /ch !in_chans iD.
- by do ?[exact: I | apply: conj] => i j iD jD; rewrite /= /ch !in_chans iD jD.
- by rewrite /ch !in_chans.
Qed.
Lemma newton_first_within alpha : layer_within K outers_after pair_after (newton_first alpha).
Proof.
apply: (within_families (v := fun=> 1) (m := fun f => if f is FR then 2 else 1)) => //=.
- by rewrite !expnS expn0 -!plusE -!multE; apply/leP; nia.
- by do ?[exact: I | apply: conj] => i iD; rewrite /= /ch !in_chans iD.
- by do ?[exact: I | apply: conj] => i j iD jD; case: (i == j) / eqP => /= _; rewrite /ch ?in_chans ?iD ?jD.
- by rewrite /ch !in_chans.
Qed.
Lemma newton_next_within : layer_within K pair_after pair_after (newton_next D).
Proof.
apply: (within_families (v := fun f => if f is Fy then D + 1 else 1) (m := fun f => if f is FR then D else D + 1)) => //=.
- by rewrite !expnS expn0 -!plusE -!multE; apply/leP; nia.
- do ?[exact: I | apply: conj] => i iD; rewrite /= ?in_vector // size_matvec addn1; split=> //.
  by apply: reads_matvec => j jD; [apply: in_symmetric | apply: in_vector].
- do ?[exact: I | apply: conj] => i j iD jD; rewrite /= ?in_matrix // size_products // ?addn1; split=> //;
  by apply: reads_sum => k kD; rewrite /= ?in_symmetric // in_matrix.
- by rewrite /ch !in_chans.
Qed.
Lemma apply_inverse_within : layer_within K pair_after inverse_after (apply_inverse D).
Proof.
apply: (within_families (v := fun f => if f is Fx then D else 1) (m := fun=> 1)) => //=.
- by rewrite !expnS expn0 -!plusE -!multE; apply/leP; nia.
- do ?[exact: I | apply: conj] => i iD; rewrite /= ?in_vector // size_products //; split=> //.
  by apply: reads_sum => j jD; rewrite /= in_matrix ?in_vector.
- by do ?[exact: I | apply: conj] => i j iD jD; rewrite /= in_matrix.
- by rewrite /ch !in_chans.
Qed.
Lemma refine_residual_within vs ss source : source \in vs -> Fa \in vs -> FM \in ss ->
  layer_within K (chans vs ss [:: one_b]) refine_after (refine_residual D source).
Proof.
move=> s_in a_in M_in; apply: (within_families (v := fun=> 1) (m := fun=> 1)) => /=.
- by rewrite size_products // !expnS expn0 -!plusE -!multE; apply/leP; nia.
- by do ?[exact: I | apply: conj] => i iD; rewrite /= in_vector.
- by do ?[exact: I | apply: conj] => i j iD jD; rewrite /= in_matrix.
- rewrite [one_b \in _]in_one // /= andbT; by apply: reads_sum => j jD; rewrite /= !in_vector.
Qed.
Lemma refine_outer_within : layer_within K refine_after refine_between refine_outer.
Proof.
apply: (within_families (v := fun=> 1) (m := fun=> 1)) => //=.
- by rewrite !expnS expn0 -!plusE -!multE; apply/leP; nia.
- by do ?[exact: I | apply: conj] => i iD; rewrite /= /ch !in_chans ?iD.
- by do ?[exact: I | apply: conj] => i j iD jD; rewrite /= in_matrix.
- by rewrite /ch !in_chans.
Qed.
Lemma refine_apply_within : layer_within K refine_between inverse_after (refine_apply D).
Proof.
apply: (within_families (v := fun f => if f is Fx then D + 1 else 1) (m := fun=> 1)) => //=.
- by rewrite !expnS expn0 -!plusE -!multE; apply/leP; nia.
- do ?[exact: I | apply: conj] => i iD; rewrite /= ?in_vector // size_products // addn1; split=> //.
  by apply: reads_sum => j jD; rewrite /= in_vector ?in_matrix.
- by do ?[exact: I | apply: conj] => i j iD jD; rewrite /= in_matrix.
- by rewrite /ch !in_chans.
Qed.
Lemma direct_first_within alpha : layer_within K outers_after direct_after (direct_first alpha).
Proof.
apply: (within_families (v := fun=> 1) (m := fun f => if f is FM then 2 else 1)) => //=.
- by rewrite !expnS expn0 -!plusE -!multE; apply/leP; nia.
- by do ?[exact: I | apply: conj] => i iD; rewrite /= in_vector.
- do ?[exact: I | apply: conj] => i j iD jD; first by rewrite /= in_matrix.
  by rewrite /=; case: (i == j) => /=; rewrite in_symmetric.
Qed.
Lemma direct_multiply_within : layer_within K direct_after direct_between (direct_multiply D).
Proof.
apply: (within_families (v := fun=> 1) (m := fun f => if f is FY then D else 1)) => //=.
- by rewrite !expnS expn0 -!plusE -!multE; apply/leP; nia.
- by do ?[exact: I | apply: conj] => i iD; rewrite /= in_vector.
- do ?[exact: I | apply: conj] => i j iD jD; rewrite /= ?in_matrix // size_products //; split=> //.
  by apply: reads_sum => k kD; rewrite /= in_symmetric ?in_matrix.
Qed.
Lemma direct_update_within : layer_within K direct_between direct_after (direct_update D).
Proof.
apply: (within_families (v := fun=> 1) (m := fun f => if f is FM then D + 1 else 1)) => //=.
- by rewrite !expnS expn0 -!plusE -!multE; apply/leP; nia.
- by do ?[exact: I | apply: conj] => i iD; rewrite /= in_vector.
- do ?[exact: I | apply: conj] => i j iD jD; rewrite /= ?in_matrix // size_products // addn1; split=> //.
  by apply: reads_sum => k kD; rewrite /= !in_matrix.
Qed.
Lemma direct_inverse_within : layer_within K direct_after (chans [:: Fx] [::] [::]) (apply_inverse D).
Proof.
apply: (within_families (v := fun=> D) (m := fun=> 1)) => //=.
- by rewrite !expnS expn0 -!plusE -!multE; apply/leP; nia.
- do ?[exact: I | apply: conj] => i iD; rewrite /= size_products //; split=> //.
  by apply: reads_sum => j jD; rewrite /= in_matrix ?in_vector.
Qed.
Lemma moment_only_within alpha : layer_within K outers_after (chans [:: Fx] [::] [::]) (moment_only alpha).
Proof.
apply: (within_families (v := fun=> 1) (m := fun=> 1)) => //=.
- by rewrite !expnS expn0 -!plusE -!multE; apply/leP; nia.
- by do ?[exact: I | apply: conj] => i iD; rewrite /= in_vector.
Qed.
(* ---- stacks ---- *)
Lemma stack_of L Ts k outputs names : within k outputs L Ts -> all (fun l => width l <= k) (compile_all names Ts outputs).
Proof. by case. Qed.
Lemma opened_within lay md k outputs names Ts : 3 * D + 1 <= k -> within k outputs plain Ts ->
  all (fun l => width l <= k) (compile_all names (opening lay md ++ Ts) outputs).
Proof.
move=> le W; rewrite /opening; case: masked; last exact: stack_of W.
exact: stack_of (within_cons (layer_weaken le mask_within) W).
Qed.
Lemma sumn_bounded (g : chan -> nat) k s : (forall c, g c <= k) -> sumn (map g s) <= k * size s.
Proof. by move=> H; elim: s => //= c s IH; rewrite mulnS leq_add. Qed.
Lemma x_within k L : {subset vector_names D Fx <= L} -> within k (vector_names D Fx) L [::].
Proof. by move=> sub; apply: within_nil => //; exact: uniq_names. Qed.
Lemma residual_steps_within s k : within (5 * D + 2) (vector_names D Fx) residual_after (residual_steps D s k).
Proof.
elim: k => [|k IH] /=; first by apply: x_within; exact: vectors_in.
exact: within_cons residual_outer_within (within_cons (residual_step_within s) IH).
Qed.
Lemma gram_within acc lay steps : within (2 * D ^ 2 + 6 * D + 1) (vector_names D Fx) plain (gram_layers D acc (spread_of lay) steps).
Proof.
have le : 2 * D ^ 2 + 6 * D <= 2 * D ^ 2 + 6 * D + 1 by rewrite leq_addr.
have le' : D ^ 2 + 2 * D <= 2 * D ^ 2 + 6 * D + 1 by rewrite -!plusE -!multE; apply/leP; nia.
have outer := layer_weaken le' (outer_within lay).
case: steps => [|step steps] /=; first by apply: (within_cons outer); apply: x_within; exact: vectors_in.
apply: (within_cons outer); apply: (within_cons (layer_weaken le (gram_first_within acc step))).
rewrite -[map _ _]cats0; apply: within_map => [st|]; first exact: layer_weaken le (gram_next_within st).
by apply: x_within; exact: vectors_in.
Qed.
Lemma refinements_within vs ss source r : source \in vs -> Fa \in vs -> FM \in ss -> 0 < r ->
  within K (vector_names D Fx) (chans vs ss [:: one_b]) (refinements D source r).
Proof.
case: r => // r s_in a_in M_in _ /=.
apply: within_cons (refine_residual_within s_in a_in M_in) (within_cons refine_outer_within (within_cons refine_apply_within _)).
elim: r => [|r IH] /=; first by apply: x_within; exact: vectors_in.
apply: within_cons _ (within_cons refine_outer_within (within_cons refine_apply_within IH)).
exact: refine_residual_within.
Qed.
Lemma newton_core_within alpha t outputs Ts : within K outputs pair_after Ts ->
  within K outputs newton_data (newton_core D alpha t ++ Ts).
Proof.
move=> W; apply: within_cons newton_outer_within (within_cons (newton_first_within alpha) _).
exact: within_nseq newton_next_within W.
Qed.
End Layers.

(* For every algorithm and all its parameters: no layer of the literal network is wider. *)
Theorem literal_width_of alg m : model_of alg = Some m -> all (fun l => width l <= width_of alg) (layers (literal m)).
Proof.
rewrite /literal; case: alg => [form lay N D k eta|lay N D k eta beta|lay N D k lower upper|form N D t alpha r|N C s t i j md|N W c|N C p q r l];
  rewrite /model_of.
- case: eqP => // _; case: form => [||| ].
  + case=> <-; rewrite [layers _]/= regression_layers; last exact: residual_order_ok.
    rewrite residual_orderE; apply: (@opened_within D); first by rewrite /width_of -!plusE -!multE; apply/leP; lia.
    apply: (within_cons (residual_first_within D)); exact: residual_steps_within.
  + case=> <-; rewrite [layers _]/= regression_layers; last exact: gram_order_ok.
    rewrite gram_orderE; last by apply/ltP; exact: Pos2Nat.is_pos.
    apply: (@opened_within D); first by rewrite /width_of -!plusE -!multE; apply/leP; nia.
    exact: gram_within.
  + case: ifP => // _ [<-]; rewrite [layers _]/= regression_layers; last by rewrite /= all_nseq orbT.
    apply: (@opened_within D); first by rewrite /width_of -!plusE -!multE; apply/leP; nia.
    rewrite /= map_nseq; apply: within_cons (within_cons (doubling_first_within D _ _) _).
      by apply: layer_weaken (outer_within D lay); rewrite -!plusE -!multE; apply/leP; nia.
    rewrite -[nseq _ _]cats0; apply: within_nseq (doubling_next_within D) _.
    by apply: x_within; exact: vectors_in.
  + case=> <-; rewrite [layers _]/= regression_layers; last by rewrite /= all_map; apply/allP => -[].
    apply: (@opened_within D); first by rewrite /width_of -!plusE -!multE; apply/leP; nia.
    rewrite /= -map_comp; apply: within_cons (tight_first_within D lay _) _; rewrite -[map _ _]cats0.
    apply: within_map => [[]|]; [exact: tight_next_within | exact: tight_next_within |].
    by apply: x_within; exact: vectors_in.
- case: eqP => // _ [<-]; rewrite [layers _]/= regression_layers; last exact: gram_order_ok.
  rewrite gram_orderE; last by apply/ltP; exact: Pos2Nat.is_pos.
  by apply: (@opened_within D); [rewrite /width_of -!plusE -!multE; apply/leP; nia | exact: gram_within].
- case: eqP => // _ [<-]; rewrite [layers _]/= regression_layers; last by apply/allP => s; rewrite mem_iota.
  by rewrite whole_order; apply: (@opened_within D); [rewrite /width_of -!plusE -!multE; apply/leP; nia | exact: gram_within].
- case: ifP => // /norP[_ direct] [<-]; rewrite [layers _]/= /model_layers /= newton_orderE; last first.
    by move=> E; move: direct; rewrite E; case: (r).
  have x_in vs ss ones : Fx \in vs -> within (2 * D ^ 3 + 2 * D ^ 2 + 3 * D + 2) (vector_names D Fx) (chans D vs ss ones) [::].
    by move=> mem; apply: x_within; exact: vectors_in.
  apply: (stack_of (L := chans D [:: Fa] [::] [:: ch Fb 0])).
  case: form direct => direct.
  + have -> : r = 0 by move: direct; case: (r).
    case: t => [|t] /=; first exact: within_cons (newton_outer_within D) (within_cons (moment_only_within D alpha) (x_in _ _ _ _)).
    apply: within_cons (newton_outer_within D) (within_cons (direct_first_within D alpha) _).
    elim: t => [|t IH] /=; first exact: within_cons (direct_inverse_within D) (x_in _ _ _ _).
    exact: within_cons (direct_multiply_within D) (within_cons (direct_update_within D) IH).
  + apply: newton_core_within; apply: within_cons (apply_inverse_within D) _.
    by case: r {direct x_in} => [|r]; [apply: x_within; exact: vectors_in | exact: refinements_within].
  + apply: newton_core_within; case: r {direct x_in} => [|r]; last exact: refinements_within.
    by apply: within_nil; [exact: uniq_names | exact: vectors_in].
- case: ifP => // _ [<-]; rewrite [all _ _]/= andbT compile_width.
  apply: leq_trans (@sumn_bounded _ 3 _ _) _ => [[[[] a] b] //=|]; first by case: ifP.
  by rewrite /output_y size_map size_iota.
- case=> <-; rewrite [all _ _]/= andbT compile_width.
  apply: leq_trans (@sumn_bounded _ (size W).+1 _ _) _ => [[[[] a] b] //=|]; first by rewrite size_cat size_products //= addn1.
  by rewrite /output_y size_map size_iota.
- case=> <-; rewrite [all _ _]/= andbT compile_width.
  apply: leq_trans (@sumn_bounded _ 1 _ _) _ => [[[[] a] b] //=|]; first by case: ifP.
  by rewrite /output_y size_map size_iota mul1n.
Qed.

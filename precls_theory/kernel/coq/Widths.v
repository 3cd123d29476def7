(* The width of the literal networks: at most D^3 + 2 D (D + 1) in the layers that double, 2 D^2 + 6 D in those of the Gram form
   (gradient descent, heavy ball), 2 D^3 + 4 D^2 + 3 D in those of the tight form, for all N, D and k, in every
   layout. A layer has one hidden channel a term of the channels that the next layers read. *)
From Coq Require Import QArith Lia.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg zmodp matrix.
From Precls Require Import Scalars Network NormalForm Descent Families Gradient Newton Residual Primitives Layouts.
From Precls Require Import Algorithms Certificate Literal.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Close Scope Q_scope.

Definition reads (ts : seq term) : seq chan := flatten (map reads_of ts).
Lemma reads_cat ss ts : reads (ss ++ ts) = reads ss ++ reads ts.
Proof. by rewrite /reads map_cat flatten_cat. Qed.
Lemma reads_sum (P : pred chan) D F : (forall j, j < D -> all P (reads (F j))) -> all P (reads (sum D F)).
Proof.
move=> H; rewrite /sum; have : all (fun j => j < D) (iota 0 D) by apply/allP => j; rewrite mem_iota.
elim: (iota 0 D) => //= j js IH /andP[jD jsD].
by rewrite reads_cat all_cat H // IH.
Qed.
Lemma size_sum D F k : (forall j, size (F j) = k) -> size (sum D F) = D * k.
Proof.
move=> H; rewrite /sum size_flatten /shape -map_comp -[in RHS](size_iota 0 D).
by elim: (iota 0 D) => //= j js ->; rewrite H mulSn.
Qed.

Section Closed.
Variables (X : Type) (S : X -> spec) (L : seq chan).
(* The channels of L are made of the channels of L, in each of these layers. *)
Hypothesis closed : forall x c, c \in L -> all (fun d => d \in L) (reads (S x c)).
Lemma needed_closed x names' : {subset names' <= L} -> {subset needed (S x) names' <= L}.
Proof.
move=> sub d; rewrite mem_undup => H; have : all (fun d => d \in L) (reads (terms_of (S x) names')); last by move/allP; apply.
rewrite /terms_of {d H}; elim: names' sub => // c names' IH sub /=.
rewrite reads_cat all_cat closed ?IH ?sub ?mem_head // => d mem; by rewrite sub // inE mem orbT.
Qed.
Lemma names_before_closed xs outputs : uniq outputs -> {subset outputs <= L} ->
  uniq (names_before (map S xs) outputs) /\ {subset names_before (map S xs) outputs <= L}.
Proof.
by move=> u sub; elim: xs => [|x xs [_ IH]] //=; split; [exact: undup_uniq | exact: needed_closed].
Qed.
(* A list without repetition, within another: a sum over it is at most the sum over the other. *)
Lemma sum_within (f : chan -> nat) s t : uniq s -> {subset s <= t} -> sumn (map f s) <= sumn (map f t).
Proof.
elim: s t => //= c s IH t /andP[cs us] sub.
have ct : c \in t by apply: sub; rewrite mem_head.
have := perm_to_rem ct => /(perm_map f)/perm_sumn -> /=; rewrite leq_add2l; apply: IH => // x xs.
have : x \in c :: rem c t by rewrite -(perm_mem (perm_to_rem ct)) sub // inE xs orbT.
by rewrite inE; case/orP=> // /eqP E; rewrite -E xs in cs.
Qed.
Lemma stack_width K names xs outputs : (forall x, sumn [seq size (S x c) | c <- L] <= K)%N ->
  uniq outputs -> {subset outputs <= L} -> all (fun l => width l <= K) (compile_all names (map S xs) outputs).
Proof.
move=> HK u sub; elim: xs names => //= x xs IH names; rewrite IH andbT compile_width (leq_trans _ (HK x)) //.
by have [u' sub'] := names_before_closed xs u sub; exact: sum_within.
Qed.
End Closed.

Lemma sumn_const (f : chan -> nat) k s : (forall c, c \in s -> f c = k) -> sumn (map f s) = size s * k.
Proof. by elim: s => //= c s IH H; rewrite H ?mem_head // IH // => d ds; rewrite H // inE ds orbT. Qed.
Lemma regression_layers lay md N D P T O : all (fun s => s < size T) O ->
  model_layers (regression_model lay md N D (after P T O)) = P ++ map (spec_at T) O.
Proof. exact: afterE. Qed.
(* What comes first does not matter for the layers behind. *)
Lemma drop_first names Ps Ts outputs P : (forall names, all P (compile_all names Ts outputs)) ->
  all P (drop (size Ps) (compile_all names (Ps ++ Ts) outputs)).
Proof. by move=> H; elim: Ps names => [|T Ps IH] names; [rewrite drop0 | exact: IH]. Qed.

Section Forms.
Variable D : nat.
Definition square f : seq chan := [seq (f, i, j) | i <- iota 0 D, j <- iota 0 D].
Lemma in_square f i j : ((f, i, j) \in square f) = (i < D) && (j < D).
Proof.
apply/allpairsP/andP => [[[a b] [/= ma mb [-> ->]]]|[iD jD]]; first by move: ma mb; rewrite !mem_iota.
by exists (i, j); rewrite !mem_iota.
Qed.
Lemma in_sym f i j : i < D -> j < D -> sym f i j \in square f.
Proof. by move=> iD jD; rewrite /sym; case: leqP => _; rewrite in_square iD jD. Qed.
Lemma uniq_names f : uniq (vector_names D f).
Proof. by rewrite map_inj_uniq ?iota_uniq // => i j []. Qed.
Lemma square_terms f (g : chan -> nat) k : (forall i j, g (f, i, j) = k) -> sumn (map g (square f)) = D * D * k.
Proof. by move=> H; rewrite (@sumn_const _ k) ?size_allpairs ?size_iota // => c /allpairsP[[i j] [_ _ ->]]. Qed.
Lemma vector_terms f (g : chan -> nat) k : (forall i, g (ch f i) = k) -> sumn (map g (vector_names D f)) = D * k.
Proof. by move=> H; rewrite (@sumn_const _ k) ?size_map ?size_iota // => c /mapP[i _ ->]. Qed.
Lemma size_matvec k F M f i : size (matvec D k F M f i) = D.
Proof. by rewrite (@size_sum _ _ 1) ?muln1. Qed.

(* ---- doubling form ---- *)
Definition doubling_names := square FP ++ (vector_names D Fq ++ vector_names D Fx).
Lemma doubling_closed c : c \in doubling_names -> all (fun x => x \in doubling_names) (reads (doubling_next D c)).
Proof.
have P i j : i < D -> j < D -> sym FP i j \in doubling_names by move=> iD jD; rewrite mem_cat in_sym.
have q i : i < D -> ch Fq i \in doubling_names by move=> iD; rewrite !mem_cat in_vector_names iD orbT.
have x i : i < D -> ch Fx i \in doubling_names by move=> iD; rewrite !mem_cat [ch Fx i \in vector_names D Fx]in_vector_names iD !orbT.
rewrite {1}/doubling_names !mem_cat => /or3P[/allpairsP[[i j] [/= + + ->]]|/mapP[i + ->]|/mapP[i + ->]]; rewrite !mem_iota /= => iD.
- by move=> jD; apply: reads_sum => k kD; rewrite /= !P.
- by rewrite reads_cat all_cat; apply/andP; split; [apply: reads_sum => k kD; rewrite /= P ?q | rewrite /= q].
- by rewrite reads_cat all_cat; apply/andP; split; [apply: reads_sum => k kD; rewrite /= P ?x | rewrite /= q].
Qed.
Theorem doubling_width lay N k eta m : model_of (GradientDescent DoublingForm lay N D k eta) = Some m ->
  all (fun l => width l <= D ^ 3 + 2 * (D * (D + 1))) (drop (opening_depth lay Causal + 2) (layers (literal m))).
Proof.
rewrite /model_of; case: eqP => // _; case: ifP => // _ [<-].
rewrite /literal [layers _]/=; set P := opening lay Causal ++ [:: outer_layer (spread_of lay); doubling_first D (accumulate lay) (per_point eta N)].
have -> : (opening_depth lay Causal + 2 = size P)%N by rewrite size_cat size_opening.
set Ts := model_layers _; have -> : Ts = P ++ map (fun=> doubling_next D) (nseq (size (bits k)).-1 tt).
  by rewrite /Ts regression_layers /= ?all_nseq ?orbT // !map_nseq -catA.
apply: drop_first => names.
apply: stack_width; rewrite ?uniq_names //; [by move=> _; exact: doubling_closed | move=> _ | by move=> c mem; rewrite !mem_cat mem !orbT].
rewrite !map_cat !sumn_cat (@square_terms _ _ D) ?(@vector_terms _ _ (D + 1)) ?mul2n -?addnn ?expnS ?expn0 ?muln1 ?mulnA //.
- by move=> i; rewrite /= size_cat size_matvec.
- by move=> i; rewrite /= size_cat size_matvec.
- by move=> i j; rewrite /= (@size_sum _ _ 1) ?muln1.
Qed.

(* ---- Gram form ---- *)
Definition gram_names := square FG ++ (vector_names D Fc ++ (vector_names D Fprevious ++ vector_names D Fx)).
Lemma gram_closed step c : c \in gram_names -> all (fun x => x \in gram_names) (reads (gram_next D step c)).
Proof.
have G i j : i < D -> j < D -> sym FG i j \in gram_names by move=> iD jD; rewrite mem_cat in_sym.
have G' i j : i < D -> j < D -> (FG, i, j) \in gram_names by move=> iD jD; rewrite mem_cat in_square iD jD.
have v f i : f \in [:: Fc; Fprevious; Fx] -> i < D -> ch f i \in gram_names.
  move=> mem iD; rewrite !mem_cat; move: mem; rewrite !inE => /or3P[] /eqP ->; by rewrite in_vector_names iD /= !orbT.
rewrite {1}/gram_names !mem_cat => /or4P[/allpairsP[[i j] [/= + + ->]]|/mapP[i + ->]|/mapP[i + ->]|/mapP[i + ->]];
  rewrite !mem_iota /= => iD.
- by move=> jD; rewrite G'.
- by rewrite v.
- by rewrite v.
- by rewrite !v //= -/(reads (_ ++ _)) reads_cat all_cat; apply/andP; split;
    [apply: reads_sum => j jD; rewrite /= G // v | rewrite /= v].
Qed.
Lemma gram_stack names step n P : all (fun l => width l <= 2 * D ^ 2 + 6 * D)
  (drop (size P) (compile_all names (P ++ nseq n (gram_next D step)) (vector_names D Fx))).
Proof.
apply: drop_first => {}names; have -> : nseq n (gram_next D step) = map (fun=> gram_next D step) (nseq n tt) by rewrite map_nseq.
apply: stack_width; rewrite ?uniq_names //; [by move=> _; exact: gram_closed | move=> _ | by move=> c mem; rewrite !mem_cat mem !orbT].
rewrite !map_cat !sumn_cat (@square_terms _ _ 1) // (@vector_terms Fc _ 1) // (@vector_terms Fprevious _ 1) // (@vector_terms Fx _ (D + 4)); last first.
  by move=> i; rewrite /= size_cat size_matvec /= !addnS addn0.
by rewrite !muln1 !expnS expn0 muln1 -!plusE -!multE; apply/leP; nia.
Qed.
Theorem gram_width lay N k eta beta m :
  model_of (HeavyBall lay N D k eta beta) = Some m \/ beta = q0 /\ model_of (GradientDescent GramForm lay N D k eta) = Some m ->
  all (fun l => width l <= 2 * D ^ 2 + 6 * D) (drop (opening_depth lay Causal + 2) (layers (literal m))).
Proof.
set s := per_point eta N; set P := opening lay Causal ++ [:: outer_layer (spread_of lay); gram_first D (accumulate lay) (s, beta)].
have -> : (opening_depth lay Causal + 2 = size P)%N by rewrite size_cat size_opening.
move=> H; have -> : m = regression_model lay Causal N D
    (after (opening lay Causal) (gram_table D lay (s, beta) (s, beta)) (gram_order (Pos.to_nat k))).
  by case: H => [|[->]]; rewrite /model_of; case: eqP => // _ [<-].
rewrite /literal [layers _]/=; set Ts := model_layers _.
have -> : Ts = P ++ nseq (Pos.to_nat k).-1 (gram_next D (s, beta)).
  by rewrite /Ts regression_layers /= ?all_nseq ?orbT // map_nseq -catA.
exact: gram_stack.
Qed.

(* ---- tight form ---- *)
Definition tight_names := square FW ++ (vector_names D Fv ++ vector_names D Fx).
Lemma tight_closed acc digit c : c \in tight_names -> all (fun x => x \in tight_names) (reads (tight_next D acc digit c)).
Proof.
have W i j : i < D -> j < D -> sym FW i j \in tight_names by move=> iD jD; rewrite mem_cat in_sym.
have W' i j : i < D -> j < D -> (FW, i, j) \in tight_names by move=> iD jD; rewrite mem_cat in_square iD jD.
have v i : i < D -> ch Fv i \in tight_names by move=> iD; rewrite !mem_cat in_vector_names iD orbT.
have x i : i < D -> ch Fx i \in tight_names by move=> iD; rewrite !mem_cat [ch Fx i \in vector_names D Fx]in_vector_names iD !orbT.
rewrite {1}/tight_names !mem_cat => /or3P[/allpairsP[[i j] [/= + + ->]]|/mapP[i + ->]|/mapP[i + ->]]; rewrite !mem_iota /= => iD.
- by move=> jD; rewrite W' //= -/(reads (_ ++ _)) reads_cat all_cat; apply/andP; split; apply: reads_sum => k kD; rewrite /= !W.
- by rewrite v //= -/(reads (_ ++ _)) reads_cat all_cat; apply/andP; split; apply: reads_sum => k kD; rewrite /= W ?v.
- rewrite x //; case: digit => //=; rewrite -/(reads (_ ++ _)) reads_cat all_cat.
  by apply/andP; split; [apply: reads_sum => k kD; rewrite /= W ?x | rewrite /= v].
Qed.
Theorem tight_width lay N k eta m : model_of (GradientDescent TightForm lay N D k eta) = Some m ->
  all (fun l => width l <= 2 * D ^ 3 + 4 * D ^ 2 + 3 * D) (drop (opening_depth lay Causal + 1) (layers (literal m))).
Proof.
rewrite /model_of; case: eqP => // _ [<-].
rewrite /literal [layers _]/=; set P := opening lay Causal ++ [:: tight_first (spread_of lay) (per_point eta N)].
have -> : (opening_depth lay Causal + 1 = size P)%N by rewrite size_cat size_opening.
set Ts := model_layers _; have -> : Ts = P ++ map (tight_next D (accumulate lay)) (bits k).
  rewrite /Ts regression_layers; last by rewrite /= all_map; apply/allP => -[].
  by rewrite -catA /= -map_comp; congr (_ ++ _ :: _); apply: eq_map => -[].
apply: drop_first => names; apply: stack_width; rewrite ?uniq_names //.
- by move=> digit; exact: tight_closed.
- move=> digit; rewrite !map_cat !sumn_cat (@square_terms _ _ (2 * D + 1)); last first.
    by move=> i j; rewrite /= size_cat !(@size_sum _ _ 1) // -!plusE -!multE; lia.
  rewrite (@vector_terms Fv _ (2 * D + 1)); last by move=> i; rewrite /= size_cat size_matvec (@size_sum _ _ 1) // -!plusE -!multE; lia.
  rewrite (@vector_terms Fx _ (if digit then D + 2 else 1)%N).
    by case: digit; rewrite !expnS expn0 muln1 -!plusE -!multE; apply/leP; nia.
  by move=> i; case: digit; rewrite //= size_cat size_matvec /= addn1 addn2.
- by move=> c mem; rewrite !mem_cat mem !orbT.
Qed.
End Forms.

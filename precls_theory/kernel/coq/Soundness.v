(* The checker proves the statement: algorithm by algorithm. *)
From Coq Require Import QArith ZArith.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg zmodp matrix.
From Precls Require Import Scalars Network NormalForm Descent Families Gradient Newton Residual Primitives Layouts.
From Precls Require Import Algorithms Certificate.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Close Scope Q_scope.
Local Open Scope ring_scope.

(* ---- orders of layers ---- *)
Section Orders.
Variables (D : nat).
Lemma gram_orderE lay st k : (0 < k)%N ->
  map (spec_at (gram_table D lay st st)) (gram_order k) = gram_layers D (accumulate lay) (spread_of lay) (nseq k st).
Proof. by case: k => // k _; rewrite /gram_order /gram_layers /= !map_nseq. Qed.
Lemma gram_order_ok lay st k : all (fun s => s < size (gram_table D lay st st))%N (gram_order k).
Proof. by rewrite /gram_order /= all_nseq orbT. Qed.
Lemma whole_order (T : seq spec) : map (spec_at T) (iota 0 (size T)) = T.
Proof. by apply: (@eq_from_nth _ (fun=> [::])) => [|i]; rewrite size_map size_iota // => lt; rewrite (nth_map 0%N) ?size_iota // nth_iota. Qed.
Lemma residual_orderE s k :
  map (spec_at [:: residual_first D; residual_outer; residual_step D s]) (0%N :: flatten (nseq k [:: 1; 2]%N)) =
  residual_layers D s k.
Proof. by congr cons; elim: k => //= k ->. Qed.
Lemma residual_order_ok (T : seq spec) k : size T = 3%N -> all (fun s => s < size T)%N (0%N :: flatten (nseq k [:: 1; 2]%N)).
Proof. by move=> -> /=; elim: k => //= k ->. Qed.
Lemma refinement_orderE alpha r f : map (spec_at (newton_table D alpha)) (refinement_order r (if f is Fy then 4 else 5)) =
  refinements D (if f is Fy then Fy else Fx) r.
Proof.
case: r => [|r] //=; have E : map (spec_at (newton_table D alpha)) (flatten (nseq r [:: 5; 6; 7]%N)) =
   repeat r [:: refine_residual D Fx; refine_outer; refine_apply D] by elim: r => //= r ->.
by rewrite E; case: f.
Qed.
Lemma newton_orderE alpha form t r : (form = DirectNewton -> r = 0%N) ->
  map (spec_at (newton_table D alpha)) (newton_order form t r) =
  match form with
  | DirectNewton => newton_direct_layers D alpha t
  | ResidualNewton => newton_residual_layers D alpha t r
  | DoublingNewton => newton_doubling_layers D alpha t r
  end.
Proof.
case: form => H.
- case: t => [|t] //=; congr [:: _, _ & _]; rewrite map_cat; congr (_ ++ _).
  by elim: t => //= t ->.
- by rewrite /newton_order /newton_residual_layers /newton_core !map_cat /= map_nseq (refinement_orderE alpha r Fx).
- by rewrite /newton_order /newton_doubling_layers /newton_core !map_cat map_nseq (refinement_orderE alpha r Fy).
Qed.
End Orders.

Lemma size_vector_names D f : size (vector_names D f) = D. Proof. by rewrite size_map size_iota. Qed.
Lemma nth_vector_names D f (i : 'I_D) c : nth c (vector_names D f) i = ch f i.
Proof. by rewrite (nth_map 0%N) ?size_iota // nth_iota. Qed.

(* ---- regressions ---- *)
Section Regression.
Variables (net : network) (columns : seq N) (lay : layout) (md : mode) (N D : nat) (layers : seq spec * seq nat).
Variables (R : comRingType) (phi : scalars R) (a : nat -> 'cV[R]_D) (b : nat -> R) (x_init : 'cV[R]_D).
Lemma regression_decoded n : computes (regression_model lay md N D layers) net columns -> (n < rows_of lay N)%N ->
  decoded phi net columns D (encode lay md N a b x_init) n =
  vec D (eval_specs phi md (rows_of lay N) (model_layers (regression_model lay md N D layers))
                    (named_input lay md N a b x_init)) n Fx.
Proof.
move=> ok nN; apply: vectorP => i.
rewrite !mxE (ok R phi _ _ _ _ (@holds_input lay md N D R phi a b x_init)) ?size_vector_names //; last exact: named_input_supported.
by rewrite nth_vector_names.
Qed.
Lemma opened_layers T O : all (fun s => s < size T)%N O ->
  eval_specs phi md (rows_of lay N) (model_layers (regression_model lay md N D (after (opening lay md) T O)))
    (named_input lay md N a b x_init) =
  eval_specs phi md (rows_of lay N) (map (spec_at T) O) (opened lay md N phi a b x_init).
Proof. by move=> ok; rewrite /model_layers afterE // /eval_specs foldl_cat. Qed.
End Regression.


(* ---- every layout: the layers in normal form compute the iteration, for every N, D and k ---- *)
Section Layouts.
Variables (R : comRingType) (phi : scalars R) (lay : layout) (N D : nat).
Variables (a : nat -> 'cV[R]_D) (b : nat -> R) (x_init : 'cV[R]_D) (n p : nat).
Hypothesis nN : (n < rows_of lay N)%N.
Notation input md := (named_input lay md N a b x_init).
Notation run md layers := (vec D (eval_specs phi md (rows_of lay N) (opening lay md ++ layers) (input md)) n Fx).

Lemma run_opened md layers : run md layers =
  vec D (eval_specs phi md (rows_of lay N) layers (opened lay md N phi a b x_init)) n Fx.
Proof. by rewrite /eval_specs foldl_cat. Qed.
Let acc := @accumulate_sums R lay N phi.
Let rows := @seen_rows lay N.
Let opened := regression_opened lay N phi a b x_init.

Theorem residual_every_size s k : (0 < N)%N ->
  run Circular (residual_layers D s k) = iter k (gd a b (phi s) N) x_init.
Proof.
move=> N0; rewrite run_opened.
rewrite (residual_correct s phi k (circular_data phi a b x_init) (circular_start lay phi a b x_init N0) nN).
by apply: eq_iter => x; apply: gd_ext; [exact: circular_gram | exact: circular_moment].
Qed.
Hypothesis seen_p : points_seen lay Causal N n = Some p.
Theorem momentum_every_size step steps :
  run Causal (gram_layers D (accumulate lay) (spread_of lay) (step :: steps)) =
  momentum_method a b p x_init (weights_of phi (step :: steps)).
Proof.
have [EG Ec Ex] := answers a b x_init nN seen_p.
by rewrite run_opened (gram_correct acc rows step steps opened nN) Ex; apply: momentum_ext.
Qed.
Theorem gram_every_size s k : (0 < k)%N ->
  run Causal (gram_layers D (accumulate lay) (spread_of lay) (nseq k (s, q0))) = iter k (gd a b (phi s) p) x_init.
Proof.
case: k => // k _; rewrite [nseq _ _]/= momentum_every_size.
have -> : weights_of phi ((s, q0) :: nseq k (s, q0)) = nseq k.+1 (phi s, 0) by rewrite /weights_of /= map_nseq /= weight0.
exact: momentum_gd.
Qed.
Theorem doubling_every_size s m :
  run Causal (doubling_layers D (accumulate lay) (spread_of lay) s m) = iter (2 ^ m) (gd a b (phi s) p) x_init.
Proof.
have [EG Ec Ex] := answers a b x_init nN seen_p.
by rewrite run_opened (doubling_correct acc rows s m opened nN) Ex; apply: eq_iter => x; apply: gd_ext.
Qed.
Theorem tight_every_size s digits :
  run Causal (tight_layers D (accumulate lay) (spread_of lay) s digits) = iter (number digits) (gd a b (phi s) p) x_init.
Proof.
have [EG Ec Ex] := answers a b x_init nN seen_p.
by rewrite run_opened (tight_correct acc rows s digits opened nN) Ex; apply: eq_iter => x; apply: gd_ext.
Qed.
End Layouts.

(* Newton: rows [a_n, b_n]. *)
Section NewtonRows.
Variables (R : comRingType) (phi : scalars R) (N D : nat) (alpha : Q) (a : nat -> 'cV[R]_D) (b : nat -> R) (n : nat).
Hypothesis nN : (n < N)%N.
Notation input := (given LayoutA N a b 0).
Lemma newton_data : data N a b input.
Proof. by move=> m mN; rewrite given_a /row_a /= mN. Qed.
Lemma newton_supported m c : c \notin vector_names D Fa ++ [:: ch Fb 0] -> input m c = 0.
Proof.
move=> out; have [mem|] := boolP (c \in plain_names LayoutA D); last exact: given_supported.
move: mem out; rewrite /plain_names /= !mem_cat !inE negb_or; case/orP=> [->//|/orP[->|]]; first by rewrite andbF.
by case/mapP=> i _ -> _ /=; case: ifP => // _; rewrite /coordinate; case: insubP => // j _ _; rewrite mxE.
Qed.
Let causal w m (mN : (m < N)%N) := prefixE phi w mN.
Let circular w m (mN : (m < N)%N) := totalE phi N w m.
Let all_rows m (mN : (m < N)%N) : (N <= N)%N := leqnn N.
Notation M p t := (newton_iterate (gram a p) (phi alpha) t).
Theorem newton_every_size form t : let f := newton_output form 0 in
  vec D (eval_specs phi Causal N match form with
    | DirectNewton => newton_direct_layers D alpha t
    | ResidualNewton => newton_residual_layers D alpha t 0
    | DoublingNewton => newton_doubling_layers D alpha t 0 end input) n f = M n.+1 t *m moment a b n.+1.
Proof.
have rows m : (m < N)%N -> (m.+1 <= N)%N by [].
case: form => /=.
- exact: (newton_direct_correct alpha causal rows t newton_data nN).
- exact: (newton_residual_correct alpha causal rows t newton_data nN).
- exact: (newton_doubling_correct alpha causal rows t newton_data nN).
Qed.
Theorem refined_residual_every_size t r :
  vec D (eval_specs phi Circular N (newton_residual_layers D alpha t r) input) n Fx =
  iter r (refine a b N (M N t)) (M N t *m moment a b N).
Proof. exact: (refined_residual_correct alpha circular all_rows (fun m mN => erefl) t r newton_data nN). Qed.
Theorem refined_doubling_every_size t r :
  vec D (eval_specs phi Circular N (newton_doubling_layers D alpha t r) input) n (if r is 0 then Fy else Fx) =
  iter r (refine a b N (M N t)) (M N t *m moment a b N).
Proof. exact: (refined_doubling_correct alpha circular all_rows (fun m mN => erefl) t r newton_data nN). Qed.
End NewtonRows.

(* ---- a network that implements an algorithm computes what the algorithm states ---- *)
Theorem descent_sound net columns form lay N D k eta : implements (GradientDescent form lay N D k eta) net columns ->
  statement (GradientDescent form lay N D k eta) net columns.
Proof.
rewrite /implements /=; case: eqP => // N0 ok R phi md a b x_init n p nN seen_p.
have k0 : (0 < Pos.to_nat k)%N by apply/ltP; exact: Pos2Nat.is_pos.
have {}N0 : (0 < N)%N by rewrite lt0n; apply/eqP.
case: form @md ok seen_p => md ok; rewrite /md {md}.
- case=> <-; rewrite (regression_decoded _ _ _ _ ok) // opened_layers ?residual_order_ok // residual_orderE.
  by rewrite -run_opened residual_every_size.
- move=> seen_p; rewrite (regression_decoded _ _ _ _ ok) // opened_layers ?gram_order_ok // gram_orderE //.
  by rewrite -run_opened (@gram_every_size R phi lay N D a b x_init n p nN seen_p).
- move: ok; case: ifP => // pow ok seen_p.
  rewrite (regression_decoded _ _ _ _ ok) // opened_layers; last by rewrite /= all_nseq orbT.
  have -> : map (spec_at [:: outer_layer (spread_of lay); doubling_first D (accumulate lay) (per_point eta N);
      doubling_next D]) ([:: 0; 1]%N ++ nseq (size (bits k)).-1 2%N) =
      doubling_layers D (accumulate lay) (spread_of lay) (per_point eta N) (size (bits k)).-1.
    by rewrite map_cat map_nseq.
  by rewrite -run_opened (@doubling_every_size R phi lay N D a b x_init n p nN seen_p) (is_powerP pow).
- move=> seen_p.
  rewrite (regression_decoded _ _ _ _ ok) // opened_layers; last by rewrite /= all_map; apply/allP => -[].
  have -> : map (spec_at [:: tight_first (spread_of lay) (per_point eta N); tight_next D (accumulate lay) false;
      tight_next D (accumulate lay) true]) (0%N :: [seq if d then 2%N else 1%N | d <- bits k]) =
      tight_layers D (accumulate lay) (spread_of lay) (per_point eta N) (bits k).
    by rewrite /tight_layers /= -map_comp; congr cons; apply: eq_map => -[].
  by rewrite -run_opened (@tight_every_size R phi lay N D a b x_init n p nN seen_p) number_bits.
Qed.
Theorem heavy_ball_sound net columns lay N D k eta beta : implements (HeavyBall lay N D k eta beta) net columns ->
  statement (HeavyBall lay N D k eta beta) net columns.
Proof.
rewrite /implements /=; case: eqP => // N0 ok R phi a b x_init n p nN seen_p.
have k0 : (0 < Pos.to_nat k)%N by apply/ltP; exact: Pos2Nat.is_pos.
rewrite (regression_decoded _ _ _ _ ok) // opened_layers ?gram_order_ok // gram_orderE // -run_opened.
case: (Pos.to_nat k) k0 => // j _.
by rewrite [nseq _ _]/= (@momentum_every_size R phi lay N D a b x_init n p nN seen_p) /weights_of /= map_nseq.
Qed.
Theorem chebyshev_sound net columns lay N D k lower upper : implements (Chebyshev lay N D k lower upper) net columns ->
  statement (Chebyshev lay N D k lower upper) net columns.
Proof.
rewrite /implements /=; case: eqP => // N0 ok R phi a b x_init n p nN seen_p.
have k0 : (0 < Pos.to_nat k)%N by apply/ltP; exact: Pos2Nat.is_pos.
rewrite (regression_decoded _ _ _ _ ok) // opened_layers; last by apply/allP => s; rewrite mem_iota.
rewrite whole_order -run_opened.
case: (Pos.to_nat k) k0 => // j _.
by rewrite [chebyshev_steps _ _ _]/= [map _ _]/= (@momentum_every_size R phi lay N D a b x_init n p nN seen_p).
Qed.
Theorem newton_sound net columns form N D t alpha r : implements (NewtonIteration form N D t alpha r) net columns ->
  statement (NewtonIteration form N D t alpha r) net columns.
Proof.
rewrite /implements /=; case: ifP => // /norP[N0 direct] ok R phi a b n nN.
have direct0 : form = DirectNewton -> r = 0%N by move=> E; move: direct; rewrite E; case: (r).
have H := @holds_plain R phi N (vector_names D Fa ++ [:: ch Fb 0]) (given LayoutA N a b 0).
have Z := @newton_supported R N D a b.
apply: vectorP => i; rewrite mxE (ok R phi _ _ _ _ H Z nN) ?size_vector_names //= nth_vector_names -vecE.
rewrite /model_layers /= newton_orderE //; case: r ok direct0 {direct} => [|r] ok direct0.
  by rewrite -(newton_every_size phi alpha a b nN form t); case: form {ok direct0}.
case: form direct0 {ok} => [/(_ erefl)//|_|_].
- by rewrite refined_residual_every_size.
- by rewrite -(refined_doubling_every_size phi alpha a b nN).
Qed.
Lemma nth_names g C i c : (i < C)%N -> nth c [seq ch g j | j <- iota 0 C] i = ch g i.
Proof. by move=> iC; rewrite (nth_map 0%N) ?size_iota // nth_iota. Qed.
(* Channels u[0], ..., u[C-1]. *)
Definition u_channels (R : comRingType) C (u : nat -> nat -> R) : named R := fun n c =>
  if c is (Fu, i, 0%N) then (if (i < C)%N then u n i else 0) else 0.
Lemma u_supported (R : comRingType) C (u : nat -> nat -> R) n c : c \notin input_u C -> u_channels C u n c = 0.
Proof.
case: c => [[[] i] [|j]] //; rewrite -[(Fu, i, 0%N)]/(ch Fu i) mem_map ?mem_iota ?add0n /= => [/negbTE -> //|i' j [->] //].
Qed.
Theorem read_sound net columns N C source target start stop md : implements (Read N C source target start stop md) net columns ->
  statement (Read N C source target start stop md) net columns.
Proof.
rewrite /implements /=; case: ifP => // /andP[/andP[sN tN] order] ok R phi u n i nN iC.
have fresh : position \notin input_u C by apply/negP => /mapP[].
have := @holds_position R phi N _ _ target (u_channels C u) fresh; rewrite size_map size_iota => H.
have Z m c : c \notin rcons (input_u C) position -> with_position target position (u_channels C u) m c = 0.
  by rewrite mem_rcons inE negb_or => /andP[/negbTE ne out]; rewrite /with_position ne addr0 u_supported.
rewrite (ok R phi _ _ _ _ H Z nN) ?size_map ?size_iota //= nth_names // /model_layers /=.
have ok_md : md = Circular \/ (source <= target)%N by case: md order {ok}; [right | left].
rewrite [LHS](read_correct phi start stop i sN tN ok_md nN) /with_position /= ?add0r // ?eqxx //.
by rewrite iC !addr0.
Qed.
Theorem linear_sound net columns N W c : implements (Linear N W c) net columns ->
  statement (Linear N W c) net columns.
Proof.
rewrite /implements /= => ok R phi u n j nN jC.
have H := @holds_plain R phi N (input_u (size W)) (u_channels (size W) u).
rewrite (ok R phi _ _ _ _ H (u_supported u) nN) ?size_map ?size_iota //= nth_names // /model_layers /=.
rewrite [LHS]linear_correct //; congr (_ + _); by apply: eq_bigr => i _ /=; rewrite ltn_ord.
Qed.
Theorem multiply_sound net columns N C p q r length : implements (Multiply N C p q r length) net columns ->
  statement (Multiply N C p q r length) net columns.
Proof.
rewrite /implements /= => ok R phi u n i nN iC.
have H := @holds_plain R phi N (input_u C) (u_channels C u).
rewrite (ok R phi _ _ _ _ H (u_supported u) nN) ?size_map ?size_iota //= nth_names // /model_layers /=.
by rewrite [LHS]multiply_correct //= iC.
Qed.
Theorem implements_sound alg net columns : implements alg net columns -> statement alg net columns.
Proof.
case: alg => *.
- exact: descent_sound.
- exact: heavy_ball_sound.
- exact: chebyshev_sound.
- exact: newton_sound.
- exact: read_sound.
- exact: linear_sound.
- exact: multiply_sound.
Qed.
(* ---- the checker proves the statement ---- *)
Theorem check_sound f : check f -> statement (file_algorithm f) (network_of f) (file_columns f).
Proof. by move/check_implements; exact: implements_sound. Qed.

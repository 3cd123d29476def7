(* What a saved network claims: its algorithm with all parameters; the layers in normal form that it should have; and the
   statement, for all data over every ring into which Q maps. *)
From Coq Require Import QArith ZArith Lia.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg zmodp matrix.
From Precls Require Import Scalars Network NormalForm Descent Families Gradient Newton Residual Primitives Layouts.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Close Scope Q_scope.
Local Open Scope ring_scope.

Inductive descent_form := ResidualForm | GramForm | DoublingForm | TightForm.
Inductive newton_form := DirectNewton | ResidualNewton | DoublingNewton.
Inductive algorithm :=
| GradientDescent (form : descent_form) (lay : layout) (N D : nat) (k : positive) (step_size : Q)
| HeavyBall (lay : layout) (N D : nat) (k : positive) (step_size momentum : Q)
| Chebyshev (lay : layout) (N D : nat) (k : positive) (lower upper : Q)
| NewtonIteration (form : newton_form) (N D t : nat) (alpha : Q) (refinements : nat)
| Read (N C source target start stop : nat) (md : mode)
| Linear (N : nat) (W : seq (seq Q)) (bias : seq Q)
| Multiply (N C left right target length : nat).

Fixpoint bits (p : positive) : seq bool :=                     (* least significant first *)
  match p with xH => [:: true] | xO p => false :: bits p | xI p => true :: bits p end.
Lemma number_bits p : number (bits p) = Pos.to_nat p.
Proof.
elim: p => [p IH|p IH|] //; cbn [number bits nat_of_bool]; rewrite IH -muln2 -multE -plusE.
  by rewrite Pos2Nat.inj_xI; lia.
by rewrite Pos2Nat.inj_xO; lia.
Qed.
Lemma number_power m : number (rcons (nseq m false) true) = (2 ^ m)%N.
Proof. by elim: m => //= m ->; rewrite expnS mul2n. Qed.
Definition is_power p m := bits p == rcons (nseq m false) true.
Lemma is_powerP p m : is_power p m -> Pos.to_nat p = (2 ^ m)%N.
Proof. by move/eqP => E; rewrite -number_bits E number_power. Qed.

(* eta / N *)
Definition per_point (eta : Q) (N : nat) : Q := Qred (Qdiv eta (Qmake (Z.of_nat N) 1)).
(* The Chebyshev semi-iteration (Golub & Varga 1961): omega_1 = 1, omega_2 = 1/(1 - rho^2/2), omega_(k+1) = 1/(1 - rho^2
   omega_k/4); step k is (omega_k/d, omega_k - 1) with d = (lower + upper)/2, rho = (upper - lower)/(upper + lower). *)
Section ChebyshevSteps.
Variables (lower upper : Q).
Definition centre : Q := Qred (Qdiv (Qplus lower upper) q2).
Definition rho_squared : Q := let r := Qdiv (Qminus upper lower) (Qplus upper lower) in Qred (Qmult r r).
Definition quarter : Q := Qmake 1 4.
Definition next_omega (first : bool) (omega : Q) : Q :=
  Qred (Qinv (Qminus q1 (if first then Qmult rho_squared half else Qmult (Qmult rho_squared omega) quarter))).
Fixpoint chebyshev_from (k : nat) (first : bool) (omega : Q) : seq (Q * Q) :=
  if k is k.+1 then (Qred (Qdiv omega centre), Qred (Qminus omega q1)) ::
                    chebyshev_from k false (next_omega first omega)
  else [::].
Definition chebyshev_steps k := chebyshev_from k true q1.
End ChebyshevSteps.

(* ---- the network that is claimed ---- *)
Record model := Model {
  model_rows : nat;
  model_mode : mode;
  model_inputs : seq chan;
  model_positions : seq (nat * N * Q);
  model_specs : seq spec;                                     (* the different layers *)
  model_order : seq nat;                                      (* which stands at each depth *)
  model_outputs : seq chan
}.
Definition model_layers (m : model) : seq spec := map (spec_at (model_specs m)) (model_order m).
(* Layers P, then the layers T in the order O. *)
Definition after (P T : seq spec) (O : seq nat) := (P ++ T, iota 0 (size P) ++ map (addn (size P)) O).
Lemma afterE P T O : all (fun s => s < size T)%N O ->
  map (spec_at (after P T O).1) (after P T O).2 = P ++ map (spec_at T) O.
Proof.
move=> H; rewrite /after /= map_cat -map_comp; congr (_ ++ _).
  apply: (@eq_from_nth _ (fun=> [::])) => [|i]; rewrite ?size_map size_iota // => lt.
  by rewrite (nth_map 0%N) ?size_iota // nth_iota // /spec_at nth_cat lt.
by apply: eq_map => s; rewrite /= /spec_at nth_cat ltnNge leq_addr addKn.
Qed.

Definition regression_model lay md N D (layers : seq spec * seq nat) : model :=
  Model (rows_of lay N) md (input_names lay md D) (input_positions lay md N D) layers.1 layers.2 (vector_names D Fx).
Definition gram_table D lay first next := [:: outer_layer (spread_of lay); gram_first D (accumulate lay) first; gram_next D next].
Definition gram_order k := [:: 0; 1]%N ++ nseq k.-1 2%N.
Definition newton_table D alpha : seq spec :=
  [:: newton_outer; newton_first alpha; newton_next D; apply_inverse D; refine_residual D Fy; refine_residual D Fx;
      refine_outer; refine_apply D; direct_first alpha; direct_multiply D; direct_update D; moment_only alpha].
Definition refinement_order r first := if r is r.+1 then [:: first; 6; 7]%N ++ flatten (nseq r [:: 5; 6; 7]%N) else [::].
Definition newton_order form t r : seq nat :=
  match form with
  | DirectNewton => if t is t.+1 then [:: 0; 8]%N ++ flatten (nseq t [:: 9; 10]%N) ++ [:: 3%N] else [:: 0; 11]%N
  | ResidualNewton => [:: 0; 1]%N ++ nseq t 2%N ++ 3%N :: refinement_order r 5
  | DoublingNewton => [:: 0; 1]%N ++ nseq t 2%N ++ refinement_order r 4
  end.
Definition newton_output form r : family := match form, r with DoublingNewton, 0 => Fy | _, _ => Fx end.
Definition input_u C : seq chan := [seq ch Fu i | i <- iota 0 C].
Definition output_y C : seq chan := [seq ch Fy i | i <- iota 0 C].

Definition model_of (alg : algorithm) : option model :=
  match alg with
  | GradientDescent form lay N D k eta =>
      let s := per_point eta N in
      if (N == 0)%N then None else
      match form with
      | ResidualForm => Some (regression_model lay Circular N D (after (opening lay Circular)
          [:: residual_first D; residual_outer; residual_step D s] (0%N :: flatten (nseq (Pos.to_nat k) [:: 1; 2]%N))))
      | GramForm => Some (regression_model lay Causal N D
          (after (opening lay Causal) (gram_table D lay (s, q0) (s, q0)) (gram_order (Pos.to_nat k))))
      | DoublingForm =>
          let m := (size (bits k)).-1 in
          if is_power k m then Some (regression_model lay Causal N D (after (opening lay Causal)
            [:: outer_layer (spread_of lay); doubling_first D (accumulate lay) s; doubling_next D]
            ([:: 0; 1]%N ++ nseq m 2%N)))
          else None
      | TightForm => Some (regression_model lay Causal N D (after (opening lay Causal)
            [:: tight_first (spread_of lay) s; tight_next D (accumulate lay) false; tight_next D (accumulate lay) true]
            (0%N :: [seq if d then 2%N else 1%N | d <- bits k])))
      end
  | HeavyBall lay N D k eta beta =>
      let s := per_point eta N in
      if (N == 0)%N then None else
      Some (regression_model lay Causal N D
        (after (opening lay Causal) (gram_table D lay (s, beta) (s, beta)) (gram_order (Pos.to_nat k))))
  | Chebyshev lay N D k lower upper =>
      let steps := [seq (per_point st.1 N, st.2) | st <- chebyshev_steps lower upper (Pos.to_nat k)] in
      let layers := gram_layers D (accumulate lay) (spread_of lay) steps in
      if (N == 0)%N then None else
      Some (regression_model lay Causal N D (after (opening lay Causal) layers (iota 0 (size layers))))
  | NewtonIteration form N D t alpha r =>
      if (N == 0)%N || (if form is DirectNewton then r != 0%N else false) then None else
      let md := if r is 0 then Causal else Circular in
      let plain := vector_names D Fa ++ [:: ch Fb 0] in
      Some (Model N md plain [::] (newton_table D alpha) (newton_order form t r) (vector_names D (newton_output form r)))
  | Read N C source target start stop md =>
      if (source < N)%N && (target < N)%N && (if md is Circular then true else (source <= target)%N) then
        Some (Model N md (rcons (input_u C) position) [:: (target, N.of_nat C, q1)]
          [:: read_layer (read_lag N source target) start stop] [:: 0%N] (output_y C))
      else None
  | Linear N W c =>
      Some (Model N Causal (input_u (size W)) [::]
        [:: linear_layer (size W) (fun i j => nth q0 (nth [::] W i) j) (nth q0 c)] [:: 0%N] (output_y (size c)))
  | Multiply N C p q r length =>
      Some (Model N Causal (input_u C) [::] [:: multiply_layer p q r length] [:: 0%N] (output_y C))
  end.

(* ---- the statement ---- *)
Section Statement.
Variables (R : comRingType) (phi : scalars R) (net : network) (columns : seq N).
(* The result in row n: the output columns in this order. *)
Definition decoded D (u : rows R) n : 'cV[R]_D := \col_(i < D) eval phi net u n (nth 0%coqN columns i).
Definition by_rows D (u : nat -> nat -> R) names : rows R := by_columns names (fun n c =>
  if c is (Fu, i, 0%N) then (if (i < D)%N then u n i else 0) else 0).
End Statement.
Definition weights_of R (phi : scalars R) (steps : seq (Q * Q)) : seq (R * R) := [seq (phi st.1, phi st.2) | st <- steps].

Definition statement (alg : algorithm) (net : network) (columns : seq N) : Prop :=
  forall (R : comRingType) (phi : scalars R),
  match alg with
  | GradientDescent form lay N D k eta =>
      let md := if form is ResidualForm then Circular else Causal in
      forall (a : nat -> 'cV[R]_D) b x_init n p, (n < rows_of lay N)%N -> points_seen lay md N n = Some p ->
      decoded phi net columns D (encode lay md N a b x_init) n =
      iter (Pos.to_nat k) (gd a b (phi (per_point eta N)) p) x_init
  | HeavyBall lay N D k eta beta =>
      forall (a : nat -> 'cV[R]_D) b x_init n p, (n < rows_of lay N)%N -> points_seen lay Causal N n = Some p ->
      decoded phi net columns D (encode lay Causal N a b x_init) n =
      momentum_method a b p x_init (nseq (Pos.to_nat k) (phi (per_point eta N), phi beta))
  | Chebyshev lay N D k lower upper =>
      forall (a : nat -> 'cV[R]_D) b x_init n p, (n < rows_of lay N)%N -> points_seen lay Causal N n = Some p ->
      decoded phi net columns D (encode lay Causal N a b x_init) n =
      momentum_method a b p x_init
        (weights_of phi [seq (per_point st.1 N, st.2) | st <- chebyshev_steps lower upper (Pos.to_nat k)])
  | NewtonIteration form N D t alpha r =>
      forall (a : nat -> 'cV[R]_D) b n, (n < N)%N ->
      let p := if r is 0 then n.+1 else N in
      let M := newton_iterate (gram a p) (phi alpha) t in
      decoded phi net columns D
        (by_columns (vector_names D Fa ++ [:: ch Fb 0]) (given LayoutA N a b 0)) n =
      iter r (refine a b N M) (M *m moment a b p)
  | Read N C source target start stop md =>
      forall u n (i : nat), (n < N)%N -> (i < C)%N ->
      eval phi net (by_rows C u (rcons (input_u C) position)) n (nth 0%coqN columns i) =
      if (n == target) && (start <= i < stop)%N then u source i else u n i
  | Linear N W c =>
      forall u n (j : nat), (n < N)%N -> (j < size c)%N ->
      eval phi net (by_rows (size W) u (input_u (size W))) n (nth 0%coqN columns j) =
      \sum_(i < size W) u n i * phi (nth q0 (nth [::] W i) j) + phi (nth q0 c j)
  | Multiply N C p q r length =>
      forall u n (i : nat), (n < N)%N -> (i < C)%N ->
      let at_channel j := if (j < C)%N then u n j else 0 in
      eval phi net (by_rows C u (input_u C)) n (nth 0%coqN columns i) =
      if (r <= i < r + length)%N then at_channel (p + (i - r))%N * at_channel (q + (i - r))%N else u n i
  end.

(* Rational weights in a commutative ring. A network has weights in Q; it runs on inputs in any commutative ring R into
   which Q maps: Q itself, the reals, polynomials over them. Every field of characteristic zero is such a ring. *)
From Coq Require Import QArith Lia.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg order ssrnum.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory.
Close Scope Q_scope.
Local Open Scope ring_scope.

Delimit Scope Z_scope with coqZ.
Delimit Scope N_scope with coqN.
Notation q0 := (Qmake Z0 xH).
Notation q1 := (Qmake (Zpos xH) xH).
Notation q2 := (Qmake (Zpos (xO xH)) xH).
Notation half := (Qmake (Zpos xH) (xO xH)).

Arguments Qred _ : simpl never.
Arguments Qmult _ _ : simpl never.
Arguments Qplus _ _ : simpl never.
Arguments Qopp _ : simpl never.
Arguments Qdiv _ _ : simpl never.

(* A map from Q to R that respects equality of fractions, sums, products and one. *)
Structure scalars (R : comRingType) := Scalars {
  weight :> Q -> R;
  weightD : forall x y, weight (Qplus x y) = weight x + weight y;
  weightM : forall x y, weight (Qmult x y) = weight x * weight y;
  weight1 : weight q1 = 1;
  weight_eq : forall x y, Qeq x y -> weight x = weight y
}.

Section Laws.
Variables (R : comRingType) (phi : scalars R).
Lemma weight0 : phi q0 = 0.
Proof. by apply: (@addIr _ (phi q0)); rewrite -weightD add0r; apply: weight_eq. Qed.
Lemma weightN x : phi (Qopp x) = - phi x.
Proof.
apply/eqP; rewrite -subr_eq0 opprK -weightD (@weight_eq _ phi _ q0) ?weight0 //.
by rewrite Qplus_comm; apply: Qplus_opp_r.
Qed.
Lemma weight_red x : phi (Qred x) = phi x.
Proof. exact: weight_eq (Qred_correct x). Qed.
Lemma weight2 : phi q2 = 1 + 1.
Proof. by rewrite -(weight1 phi) -weightD; apply: weight_eq. Qed.
Lemma half_half : phi half + phi half = 1.
Proof. by rewrite -weightD -(weight1 phi); apply: weight_eq. Qed.
Lemma weight_is0 x : Qeq_bool x q0 -> phi x = 0.
Proof. by move/Qeq_bool_iff/(weight_eq phi) ->; exact: weight0. Qed.
Lemma weight_isE x y : Qeq_bool x y -> phi x = phi y.
Proof. by move/Qeq_bool_iff/(weight_eq phi). Qed.
End Laws.

(* ---- every field of characteristic zero ---- *)
Section Field.
Variable F : numFieldType.
Definition integer (z : Z) : F :=
  match z with Z0 => 0 | Zpos p => (Pos.to_nat p)%:R | Zneg p => - (Pos.to_nat p)%:R end.
Definition rational (q : Q) : F := integer (Qnum q) / (Pos.to_nat (Qden q))%:R.

Lemma integerN z : integer (Z.opp z) = - integer z.
Proof. by case: z => [|p|p] /=; rewrite ?oppr0 ?opprK. Qed.
Lemma integer_difference m n : integer (Z.sub (Z.of_nat m) (Z.of_nat n)) = m%:R - n%:R.
Proof.
have nat_case k : integer (Z.of_nat k) = k%:R by case: k => [|k] //=; rewrite SuccNat2Pos.id_succ.
case: (leqP n m) => [le|/ltnW le].
  by rewrite -Nat2Z.inj_sub; [rewrite nat_case natrB | apply/leP].
rewrite -[Z.sub _ _]Z.opp_involutive Z.opp_sub_distr Z.add_comm Z.add_opp_r integerN.
by rewrite -Nat2Z.inj_sub; [rewrite nat_case natrB // opprB | apply/leP].
Qed.
Lemma differences z : exists m n, z = Z.sub (Z.of_nat m) (Z.of_nat n).
Proof. by exists (Z.to_nat z), (Z.to_nat (Z.opp z)); lia. Qed.
Lemma integerD x y : integer (Z.add x y) = integer x + integer y.
Proof.
have [m [n ->]] := differences x; have [m' [n' ->]] := differences y.
have -> : Z.add (Z.sub (Z.of_nat m) (Z.of_nat n)) (Z.sub (Z.of_nat m') (Z.of_nat n')) =
  Z.sub (Z.of_nat (m + m')) (Z.of_nat (n + n')) by rewrite -!plusE; lia.
by rewrite !integer_difference !natrD opprD addrACA.
Qed.
Lemma integerM x y : integer (Z.mul x y) = integer x * integer y.
Proof.
have [m [n ->]] := differences x; have [m' [n' ->]] := differences y.
have -> : Z.mul (Z.sub (Z.of_nat m) (Z.of_nat n)) (Z.sub (Z.of_nat m') (Z.of_nat n')) =
  Z.sub (Z.of_nat (m * m' + n * n')) (Z.of_nat (m * n' + n * m')) by rewrite -!plusE -!multE; nia.
rewrite !integer_difference !natrD !natrM mulrBl !mulrBr !opprD !opprK !addrA.
by rewrite -!addrA; congr (_ + _); rewrite addrC -!addrA; congr (_ + _); rewrite addrC.
Qed.
Lemma positive_neq0 p : (Pos.to_nat p)%:R != 0 :> F.
Proof. by rewrite pnatr_eq0; have := Pos2Nat.is_pos p; case: (Pos.to_nat p) => //; lia. Qed.

Lemma rationalM x y : rational (Qmult x y) = rational x * rational y.
Proof. by rewrite /rational /Qmult /= integerM Pos2Nat.inj_mul natrM invfM mulrACA. Qed.
Lemma rationalD x y : rational (Qplus x y) = rational x + rational y.
Proof. by rewrite /rational /Qplus /= integerD !integerM Pos2Nat.inj_mul natrM /= addf_div ?positive_neq0. Qed.
Lemma rational1 : rational q1 = 1.
Proof. by rewrite /rational /= divr1. Qed.
Lemma rational_eq x y : Qeq x y -> rational x = rational y.
Proof.
rewrite /Qeq /rational => E; apply/eqP; rewrite eqr_div ?positive_neq0 //; apply/eqP.
by have := congr1 integer E; rewrite !integerM.
Qed.
Definition rationals : scalars F := Scalars rationalD rationalM rational1 rational_eq.
End Field.

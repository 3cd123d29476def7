(* A saved network as a list of integers, and what it means that it is certified. Everything that a certificate says is
   fixed here: a generated file adds a list of integers, and nothing that it contains can change the statement. *)
From Coq Require Import QArith ZArith.
From mathcomp Require Import ssreflect ssrfun ssrbool eqtype ssrnat seq choice fintype bigop ssralg zmodp matrix.
From Precls Require Import Scalars Network NormalForm Layouts Algorithms Certificate Soundness.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Close Scope Q_scope.

Definition stream := seq Z.
Definition parser T := stream -> option (T * stream).
Definition ret T (x : T) : parser T := fun s => Some (x, s).
Definition fail T : parser T := fun=> None.
Arguments fail {T}.
Definition bind T U (p : parser T) (f : T -> parser U) : parser U := fun s => if p s is Some (x, s') then f x s' else None.
Notation "'do' x <- p ; q" := (bind p (fun x => q)) (at level 200, x pattern, p at level 100, q at level 200).
Fixpoint many T (n : nat) (p : parser T) : parser (seq T) :=
  if n is n.+1 then do x <- p; do xs <- many n p; ret (x :: xs) else ret [::].

Definition integer : parser Z := fun s => if s is z :: s then Some (z, s) else None.
Definition count : parser nat := do z <- integer; if Z.leb 0 z then ret (Z.to_nat z) else fail.
Definition index : parser N := do z <- integer; if Z.leb 0 z then ret (Z.to_N z) else fail.
Definition positive_ : parser positive := do z <- integer; if z is Zpos p then ret p else fail.
Definition fraction : parser Q := do n <- integer; do d <- positive_; ret (Qmake n d).
Definition list_of T (p : parser T) : parser (seq T) := do n <- count; many n p.
Definition choice T (xs : seq T) : parser T := do n <- count; if nth None (map Some xs) n is Some x then ret x else fail.

Definition a_mode := choice [:: Causal; Circular].
Definition a_layout := choice [:: LayoutA; LayoutE; LayoutS].
Definition an_algorithm : parser algorithm :=
  do kind <- count;
  match kind with
  | 0 => do form <- choice [:: ResidualForm; GramForm; DoublingForm; TightForm]; do lay <- a_layout;
         do N <- count; do D <- count; do k <- positive_; do eta <- fraction;
         ret (GradientDescent form lay N D k eta)
  | 1 => do lay <- a_layout; do N <- count; do D <- count; do k <- positive_; do eta <- fraction; do beta <- fraction;
         ret (HeavyBall lay N D k eta beta)
  | 2 => do lay <- a_layout; do N <- count; do D <- count; do k <- positive_; do lower <- fraction; do upper <- fraction;
         ret (Chebyshev lay N D k lower upper)
  | 3 => do form <- choice [:: DirectNewton; ResidualNewton; DoublingNewton];
         do N <- count; do D <- count; do t <- count; do alpha <- fraction; do r <- count;
         ret (NewtonIteration form N D t alpha r)
  | 4 => do N <- count; do C <- count; do source <- count; do target <- count; do start <- count; do stop <- count;
         do md <- a_mode; ret (Read N C source target start stop md)
  | 5 => do N <- count; do W <- list_of (list_of fraction); do bias <- list_of fraction; ret (Linear N W bias)
  | 6 => do N <- count; do C <- count; do p <- count; do q <- count; do r <- count; do length <- count;
         ret (Multiply N C p q r length)
  | _ => fail
  end.

Definition a_name : parser chan := do f <- count; do i <- count; do j <- count; ret (family_of f, i, j).
Definition an_entry : parser (N * Q) := do c <- index; do w <- fraction; ret (c, w).
Definition a_form : parser form := do ws <- list_of an_entry; do c <- fraction; ret (Form ws c).
Definition a_filter : parser filter := do taps <- list_of fraction; do t <- fraction; ret (Filter taps t).
Definition a_unit (filters : seq filter) : parser hidden :=
  do f <- choice filters; do c <- a_form; do g <- a_form; ret (Hidden f c g).
Definition a_layer : parser (layer * seq chan) :=
  do names <- list_of a_name; do filters <- list_of a_filter;
  do units <- list_of (a_unit filters); do out <- list_of a_form; ret (Layer units out, names).
Definition a_position : parser (nat * N * Q) := do r <- count; do c <- index; do w <- fraction; ret (r, c, w).
Definition a_file : parser file :=
  do alg <- an_algorithm; do rows <- count; do md <- a_mode; do inputs <- list_of a_name;
  do positions <- list_of a_position; do table <- list_of a_layer; do order <- list_of count;
  do columns <- list_of index; ret (File alg rows md inputs positions table order columns).
(* Nothing may be left over. *)
Definition decode (s : stream) : option file := if a_file s is Some (f, [::]) then Some f else None.

(* What a certificate says: the list is a network, and the network computes what it claims. *)
Definition certified (s : stream) : Prop :=
  if decode s is Some f then statement (file_algorithm f) (network_of f) (file_columns f) else False.
Definition checks (s : stream) : bool := if decode s is Some f then check f else false.
Theorem certificate s : checks s -> certified s.
Proof. by rewrite /checks /certified; case: decode => // f; exact: check_sound. Qed.

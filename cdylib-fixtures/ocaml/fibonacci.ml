(* What the library computes. *)
let rec fibonacci n = if n < 2 then n else fibonacci (n - 1) + fibonacci (n - 2)
let () = Callback.register "fibonacci" fibonacci

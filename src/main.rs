//! The `dlsoak` program.
fn main() {}

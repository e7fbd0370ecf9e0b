//! Tests of `dlsoak` as its users meet it.

mod analysis;
mod reference;

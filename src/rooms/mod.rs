//! What other rooms than the soak found, for people.

pub mod checkup;
pub mod explanation;
pub mod inspection;
pub mod verify;

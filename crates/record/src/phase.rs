//! The phases of a cycle.

use dlsoak_settings::named;

named! {
    /// A phase of a cycle.
    #[derive(Default)]
    pub enum Phase {
        /// `dlopen`.
        Open = "open",
        /// `dlsym`, all symbols of a cycle.
        Symbol = "symbol",
        /// The calls of a cycle.
        Call = "call",
        /// `dlclose`.
        Close = "close",
        /// A call after the close, of a library that the host holds.
        After = "after",
        /// Between two cycles.
        #[default]
        Between = "between",
        /// While the process ends, after the last cycle.
        Exit = "exit",
        /// On a thread that makes no cycles.
        OtherThread = "other-thread",
    }
}

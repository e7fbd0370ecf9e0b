//! What a record keeps as it moves over a soak, besides the checkpoints: rows of figures under named columns.

use serde::{Deserialize, Serialize};

/// Rows of whole figures under named columns, the first of which is `cycle`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OverTime {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows, by rising cycle.
    pub rows: Vec<Vec<i64>>,
}

//! What a record keeps as it moves over a soak, besides the checkpoints: rows of figures under named columns.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OverTimeColumn;

/// Rows of whole figures under named columns, the first of which is `cycle`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct OverTime {
    /// The columns.
    pub columns: Vec<OverTimeColumn>,
    /// The rows, by rising cycle.
    pub rows: Vec<Vec<i64>>,
}

impl OverTime {
    /// Where a column is in a row.
    pub fn position(&self, column: OverTimeColumn) -> Option<usize> {
        self.columns.iter().position(|own| *own == column)
    }
}

//! Threads of the measured process, and where they were when it ended.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Phase;

/// A thread by its number and its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default, JsonSchema)]
pub struct ThreadName {
    /// Its number, as the kernel has it.
    pub id: i32,
    /// Its name.
    pub name: String,
}

/// Where a thread was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default, JsonSchema)]
pub struct Stack {
    /// The thread.
    #[serde(flatten)]
    pub thread: ThreadName,
    /// The cycle it was in, for a thread that cycles.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cycle: Option<u64>,
    /// The phase it was in, for a thread that cycles.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub phase: Option<Phase>,
    /// True where it did not stop in time to be looked at, so that there are no frames.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub unseen: bool,
    /// Its frames, innermost first; at most 64.
    pub frames: Vec<Frame>,
    /// True where there were more frames.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub more: bool,
}

/// A function on a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default, JsonSchema)]
pub struct Frame {
    /// Whose code it is.
    #[serde(skip_serializing_if = "CodeOf::is_object", default)]
    pub code: CodeOf,
    /// Its name; absent where no table has it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub function: Option<String>,
    /// Its source file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<String>,
    /// Line in it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub line: Option<u32>,
    /// File name of the object that it is in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub object: Option<String>,
    /// Bytes from where the function begins, where a symbol table has its name, or else from where the object begins.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub offset: Option<u64>,
    /// The address in hexadecimal, where it is in no object.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub address: Option<String>,
    /// True for a function that was inlined into the next one.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub inlined: bool,
    /// How often the same frame follows this one, for a function that calls itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub repeated: Option<u64>,
}

/// Whose code a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CodeOf {
    /// That of an object.
    #[default]
    Object,
    /// That of dlsoak's own host program.
    Host,
    /// That which the kernel gives each process (vdso).
    Kernel,
    /// Memory of no file.
    Memory,
    /// Nothing is mapped there.
    Nothing,
}

impl CodeOf {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    fn is_object(&self) -> bool {
        *self == Self::Object
    }
}

//! What one parse may take in and build.

/// Bytes of all files together.
pub const MAX_INPUT_BYTES: usize = 32 << 20;
/// Files, the first one and all includes.
pub const MAX_FILES: usize = 1024;
/// How deep includes, and variables whose value is parsed, may stand in each other.
pub const MAX_INCLUDE_DEPTH: usize = 16;
/// How deep maps and arrays may stand in each other.
pub const MAX_NESTING: usize = 128;
/// Bytes that variables may copy, all references together.
pub const MAX_COPIED_BYTES: usize = 64 << 20;

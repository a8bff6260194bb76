//! FNV-1a.

/// A hash of a text that is the same in every build: for what is stored. It keeps nobody from making collisions.
pub fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

//! Pseudo-random numbers from a seed, the same on every machine and in every version.

/// A SplitMix64 generator, small because each row, File and text has its own.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

/// Mixes two numbers so that every bit of the result depends on both.
pub(crate) const fn mix(a: u64, b: u64) -> u64 {
    let mut z = a ^ b.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Hashes text, ignoring the case of ASCII letters.
pub(crate) fn hash(text: &[u8]) -> u64 {
    let fnv = text.iter().fold(0xCBF2_9CE4_8422_2325, |n: u64, c| {
        (n ^ u64::from(c.to_ascii_lowercase())).wrapping_mul(0x0000_0100_0000_01B3)
    });
    mix(fnv, 1)
}

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0, 0)
    }

    /// A number below `n`; 0 when `n` is 0.
    pub(crate) const fn below(&mut self, n: u64) -> u64 {
        if n == 0 { 0 } else { ((self.next() >> 32) * n) >> 32 }
    }

    /// True with a probability in permille.
    pub(crate) const fn chance(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    /// Picks a value with a probability in proportion to its weight.
    pub(crate) fn weighted<T: Copy>(&mut self, of: &[(T, u32)]) -> T {
        of[self.index(of.iter().map(|(_, weight)| *weight))].0
    }

    /// Picks the index of a weight with a probability in proportion to it.
    pub(crate) fn index(&mut self, weights: impl Iterator<Item = u32> + Clone) -> usize {
        let mut at = self.below(weights.clone().map(u64::from).sum());
        let is_passed = |weight: &u32| {
            let passed = at >= u64::from(*weight);
            at -= if passed { u64::from(*weight) } else { 0 };
            passed
        };
        weights.take_while(is_passed).count()
    }
}

/// Writes the version 4 GUID of a seed.
pub(crate) fn guid(out: &mut Vec<u8>, seed: u64) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let high = mix(seed, 0x6775_6964) & 0xFFFF_FFFF_FFFF_0FFF | 0x4000;
    let low = mix(seed, 0x4449_5547) & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000;
    let mut text = [b'-'; 36];
    let mut at = 0;
    for half in [high, low] {
        for nibble in (0..16).rev() {
            if matches!(at, 8 | 13 | 18 | 23) {
                at += 1;
            }
            text[at] = HEX[(half >> (nibble * 4) & 15) as usize];
            at += 1;
        }
    }
    out.extend_from_slice(&text);
}

/// The GUID of a seed as text.
pub(crate) fn guid_text(seed: u64) -> String {
    let mut out = Vec::with_capacity(36);
    guid(&mut out, seed);
    String::from_utf8_lossy(&out).into_owned()
}

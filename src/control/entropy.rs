//! Random values from the bytes that came with a call.

use sha2::{Digest, Sha256};
use std::cell::Cell;

/// A source of random values: SHA-256 over the call's random bytes and a counter.
#[derive(Debug)]
pub struct Entropy<'a> {
    seed: &'a [u8],
    counter: Cell<u64>,
}

impl<'a> Entropy<'a> {
    /// Starts from a call's random bytes.
    pub fn new(seed: &'a [u8]) -> Self {
        Self { seed, counter: Cell::new(0) }
    }

    /// The next 32 random bytes.
    pub fn bytes(&self) -> [u8; 32] {
        let counter = self.counter.get();
        self.counter.set(counter + 1);
        Sha256::new().chain_update(self.seed).chain_update(counter.to_be_bytes()).finalize().into()
    }

    /// A salt: 16 hexadecimal digits.
    pub fn salt(&self) -> String {
        crate::token::hex(&self.bytes()[..8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_differ_within_a_call_and_repeat_for_the_same_seed() {
        let (a, b) = (Entropy::new(b"seed"), Entropy::new(b"seed"));
        let first = a.bytes();
        assert_eq!(first, b.bytes());
        assert_ne!(first, a.bytes());
        assert_eq!(a.salt().len(), 16);
    }
}

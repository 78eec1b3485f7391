//! Deliberate faults for the panic-safety tests; compiled into no release.

/// Fails as the text says: `fault=panic`, `fault=overflow` or `fault=memory`.
pub(super) fn provoke(text: &str) {
    assert!(!text.contains("fault=panic"), "a deliberate panic");
    if text.contains("fault=overflow") {
        std::hint::black_box(overflow(std::hint::black_box(1)));
    }
    if text.contains("fault=memory") {
        let mut held = Vec::new();
        loop {
            held.push(std::hint::black_box(vec![1u8; 1 << 20]));
        }
    }
}

#[allow(unconditional_recursion, reason = "on purpose")]
fn overflow(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    overflow(depth + 1) + frame[usize::try_from(depth % 64).unwrap_or(0)]
}

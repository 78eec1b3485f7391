//! Buckets are uniform, and those of different salts are independent of each other.
//!
//! Everything is deterministic: the units are enumerated, not drawn, so that a test that passes
//! once passes always. Thresholds are set for the ensemble: some 4,300 statistics are looked at, and
//! each would exceed six standard deviations by chance once in 10^9 times, so that a true random
//! function would fail here once in 200,000. Real defects lie far beyond: CRC32 correlates two flags
//! by 0.09, one evaluator in use did so by 0.53, and six deviations allow 0.042. A control shows that
//! the tests do see such hashes.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use headgate::bucketing::{BUCKETS, Seeds};

/// Standard deviations that a statistic may lie from its mean.
const SIGMAS: f64 = 6.0;
const UNITS: u64 = 100_000;
/// Groups of 200 buckets: 200 units are expected in each, where chi-square needs at least 5.
const GROUPS: usize = 500;

/// A step of `SplitMix64`, for units that look random.
fn mixed(seed: u64) -> u64 {
    let z = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

type Shape = (&'static str, fn(u64) -> String);

/// Units as products have them.
const SHAPES: [Shape; 4] = [
    ("uuid", |at| {
        let (high, low) = (mixed(at), mixed(at ^ 0xabcd_ef01));
        let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0xfff);
        format!("{a:08x}-{b:04x}-4{c:03x}-{:04x}-{:012x}", 0x8000 | (low >> 50), low & 0xffff_ffff_ffff)
    }),
    ("number", |at| (at + 1).to_string()),
    ("mail", |at| format!("user.{at}@mail.example")),
    ("short", |at| {
        let digit =
            |n: u64| char::from(b"0123456789abcdefghijklmnopqrstuvwxyz"[usize::try_from(n % 36).expect("small")]);
        [digit(at / 46_656), digit(at / 1_296), digit(at / 36), digit(at)].iter().collect()
    }),
];

fn units((_, shape): Shape, count: u64) -> Vec<String> {
    (0..count).map(shape).collect()
}

/// The upper end of chi-square with so many degrees of freedom, by Wilson and Hilferty (1931).
fn chi_square_limit(freedom: f64, sigmas: f64) -> f64 {
    let spread = 2.0 / (9.0 * freedom);
    freedom * (1.0 - spread + sigmas * spread.sqrt()).powi(3)
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn float(count: usize) -> f64 {
    count as f64
}

fn chi_square_uniform(counts: &[usize]) -> f64 {
    let expected = float(counts.iter().sum()) / float(counts.len());
    counts.iter().map(|count| (float(*count) - expected).powi(2) / expected).sum()
}

/// The statistic of a table of counts against independence of its rows and columns.
fn chi_square_independent<const N: usize>(table: &[[usize; N]; N]) -> f64 {
    let rows = table.map(|row| float(row.iter().sum()));
    let columns: [f64; N] = std::array::from_fn(|at| float(table.iter().map(|row| row[at]).sum()));
    let all: f64 = rows.iter().sum();
    let cell = |row: usize, column: usize| {
        let expected = rows[row] * columns[column] / all;
        (float(table[row][column]) - expected).powi(2) / expected
    };
    (0..N).flat_map(|row| (0..N).map(move |column| (row, column))).map(|(row, column)| cell(row, column)).sum()
}

/// The correlation between two flags at 50 %.
fn phi(a: &[u32], b: &[u32]) -> f64 {
    let on = |bucket: &u32| *bucket < BUCKETS / 2;
    let mut table = [[0usize; 2]; 2];
    for (a, b) in a.iter().zip(b) {
        table[usize::from(on(a))][usize::from(on(b))] += 1;
    }
    let [[n00, n01], [n10, n11]] = table.map(|row| row.map(float));
    let margins = (n00 + n01) * (n10 + n11) * (n00 + n10) * (n01 + n11);
    (n00 * n11 - n01 * n10) / margins.sqrt()
}

fn quartiles(a: &[u32], b: &[u32]) -> [[usize; 4]; 4] {
    let mut table = [[0; 4]; 4];
    let quarter = |bucket: u32| usize::try_from(bucket * 4 / BUCKETS).expect("small");
    for (a, b) in a.iter().zip(b) {
        table[quarter(*a)][quarter(*b)] += 1;
    }
    table
}

fn counts(buckets: impl Iterator<Item = u32>) -> Vec<usize> {
    let mut counts = vec![0; GROUPS];
    for bucket in buckets {
        counts[usize::try_from(bucket).expect("small") * GROUPS / 100_000] += 1;
    }
    counts
}

#[test]
fn buckets_are_uniform() {
    let freedom = float(GROUPS - 1);
    for shape in SHAPES {
        let units = units(shape, UNITS);
        for salt in ["checkout", "a", "0", "größe", "9f2c41d07ab35e68"] {
            let seeds = Seeds::new(salt);
            for (purpose, seed) in [("share", seeds.share), ("variant", seeds.variant)] {
                let statistic = chi_square_uniform(&counts(units.iter().map(|unit| seed.bucket(unit.as_bytes()))));
                // Too even would be as wrong as too uneven: shares would be exact, not random.
                let range = chi_square_limit(freedom, -SIGMAS)..chi_square_limit(freedom, SIGMAS);
                assert!(range.contains(&statistic), "{} {salt}/{purpose}: {statistic} not in {range:?}", shape.0);
            }
        }
    }
}

/// Salts that are alike, and that are not.
fn salts() -> Vec<String> {
    let alike = (0..16).map(|at| format!("flag-{at}"));
    let letters = ["a", "b", "c", "A", "a/b", "checkout", "checkout2", "checkou"].map(str::to_owned);
    alike.chain(letters).chain((0..8).map(|at| format!("{:016x}", mixed(at)))).collect()
}

#[test]
fn flags_are_independent_of_each_other() {
    const COUNT: u64 = 20_000;
    for shape in SHAPES {
        let units = units(shape, COUNT);
        let buckets_of = |salt: &String| {
            let seed = Seeds::new(salt).share;
            units.iter().map(|unit| seed.bucket(unit.as_bytes())).collect::<Vec<_>>()
        };
        let salts = salts();
        let buckets: Vec<Vec<u32>> = salts.iter().map(buckets_of).collect();
        let (mut pairs, mut squares) = (0, 0.0);
        for (at, a) in buckets.iter().enumerate() {
            for (other, b) in buckets.iter().enumerate().skip(at + 1) {
                let name = format!("{} {} and {}", shape.0, salts[at], salts[other]);
                // Of independent flags phi is normal with a deviation of 1 / sqrt(count).
                let phi = phi(a, b);
                assert!(phi.abs() < SIGMAS / float(units.len()).sqrt(), "{name}: correlation {phi}");
                let statistic = chi_square_independent(&quartiles(a, b));
                assert!(statistic < chi_square_limit(9.0, SIGMAS), "{name}: chi-square {statistic}");
                pairs += 1;
                squares += phi * phi * float(units.len());
            }
        }
        // A small correlation of all pairs shows in their mean: 1, with a deviation of sqrt(2 / pairs).
        let mean = squares / float(pairs);
        let allowed = SIGMAS * (2.0 / float(pairs)).sqrt();
        assert!((mean - 1.0).abs() < allowed, "{}: mean of squared correlations {mean}, allowed {allowed}", shape.0);
    }
}

#[test]
fn who_takes_part_and_who_gets_what_are_independent() {
    for shape in SHAPES {
        let units = units(shape, UNITS);
        for salt in salts() {
            let seeds = Seeds::new(&salt);
            let both =
                units.iter().map(|unit| (seeds.share.bucket(unit.as_bytes()), seeds.variant.bucket(unit.as_bytes())));
            let (share, variant): (Vec<u32>, Vec<u32>) = both.unzip();
            let statistic = chi_square_independent(&quartiles(&share, &variant));
            assert!(statistic < chi_square_limit(9.0, SIGMAS), "{} {salt}: chi-square {statistic}", shape.0);
            // Among those who take part in a narrow share the variants are as even as among all.
            let inside = share.iter().zip(&variant).filter(|(share, _)| **share < 5_000).map(|(_, variant)| *variant);
            let mut thirds = [0; 3];
            inside.for_each(|variant| thirds[usize::try_from(variant * 3 / BUCKETS).expect("small")] += 1);
            let statistic = chi_square_uniform(&thirds);
            assert!(statistic < chi_square_limit(2.0, SIGMAS), "{} {salt}: {thirds:?}", shape.0);
        }
    }
}

/// The control: hashes that evaluators have shipped are seen to be what they are.
#[test]
fn weak_hashes_would_be_seen() {
    // FNV-1a without finalisation, scaled by its upper bits.
    let weak = |seed: &str, unit: &str| {
        let hash = format!("{seed}{unit}")
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        u32::try_from((u64::from(hash) * u64::from(BUCKETS)) >> 32).expect("a bucket")
    };
    let units = units(SHAPES[1], 20_000);
    let of = |seed: &str| units.iter().map(|unit| weak(seed, unit)).collect::<Vec<_>>();
    let statistic = chi_square_uniform(&counts(of("").into_iter()));
    assert!(statistic > chi_square_limit(float(GROUPS - 1), SIGMAS), "not uniform: {statistic}");
    // A salt that is added to the hash instead of seeding it.
    let added: Vec<u32> = of("x").iter().map(|bucket| (bucket + 7_919) % BUCKETS).collect();
    assert!(phi(&of("x"), &added).abs() > 0.5);
}

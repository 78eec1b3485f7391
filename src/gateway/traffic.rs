//! What routed traffic came to, per variant, until the shell takes it along to `/metrics`.

/// Upper bounds of the classes of latency, milliseconds; the last class has none.
pub const LATENCIES: [u32; 8] = [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];

/// Routed traffic since it was last taken.
#[derive(Debug, Default)]
pub struct Traffic {
    requests: Vec<Requests>,
    latencies: Vec<Latency>,
}

/// Requests of one sort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requests {
    /// Environment, route and variant.
    pub of: [Box<str>; 3],
    /// `redirect`, a class of status (`2xx`), or why there was no answer.
    pub class: &'static str,
    /// Whether these visitors take part in the comparison of variants.
    pub exposed: bool,
    /// How many.
    pub count: u64,
}

/// How long a variant's target took to begin its answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Environment, route and variant.
    pub of: [Box<str>; 3],
    /// How many there are in each class.
    pub classes: [u64; LATENCIES.len() + 1],
    /// The sum, milliseconds.
    pub sum: u64,
}

fn is_of(known: &[Box<str>; 3], of: [&str; 3]) -> bool {
    known.iter().zip(of).all(|(a, b)| **a == *b)
}

impl Traffic {
    /// Counts a request of an environment's route and variant.
    pub fn count(&mut self, of: [&str; 3], class: &'static str, exposed: bool) {
        let same = |known: &&mut Requests| known.class == class && known.exposed == exposed && is_of(&known.of, of);
        match self.requests.iter_mut().find(same) {
            Some(known) => known.count += 1,
            None => self.requests.push(Requests { of: of.map(Into::into), class, exposed, count: 1 }),
        }
    }

    /// Notes how long an answer took to begin.
    pub fn time(&mut self, of: [&str; 3], millis: u32) {
        let class = LATENCIES.iter().position(|bound| millis <= *bound).unwrap_or(LATENCIES.len());
        let at = self.latencies.iter().position(|known| is_of(&known.of, of)).unwrap_or_else(|| {
            let new = Latency { of: of.map(Into::into), classes: [0; LATENCIES.len() + 1], sum: 0 };
            self.latencies.push(new);
            self.latencies.len() - 1
        });
        self.latencies[at].classes[class] += 1;
        self.latencies[at].sum += u64::from(millis);
    }

    /// Takes everything.
    pub fn take(&mut self) -> (Vec<Requests>, Vec<Latency>) {
        (std::mem::take(&mut self.requests), std::mem::take(&mut self.latencies))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_alike_is_counted_together() {
        let (mut traffic, green, blue) = (Traffic::default(), ["p/e", "www", "green"], ["p/e", "www", "blue"]);
        for (of, class) in [(green, "2xx"), (blue, "2xx"), (green, "2xx"), (green, "5xx")] {
            traffic.count(of, class, true);
        }
        traffic.count(green, "2xx", false);
        for millis in [50, 51, 60_000] {
            traffic.time(green, millis);
        }
        let (requests, latencies) = traffic.take();
        assert_eq!(requests.iter().map(|each| each.count).collect::<Vec<_>>(), [2, 1, 1, 1]);
        let [latency] = &latencies[..] else { panic!("one variant: {latencies:?}") };
        assert_eq!((latency.classes, latency.sum), ([1, 1, 0, 0, 0, 0, 0, 0, 1], 60_101));
        assert_eq!(traffic.take().0, []);
    }
}

//! What a layer was told, for those who check or print it.

use std::{fmt, time::Duration};

use towline_core::{InvalidConfig, Phase, say::time};

use crate::{Limits, TimeoutLayer};

impl Limits {
    /// The limit of a phase; of `Total`, that of what is no stream. `None` where there is none, and for phases that have none here.
    #[must_use]
    pub fn get(&self, phase: Phase) -> Option<Duration> {
        match phase {
            Phase::Head => self.head,
            Phase::FirstContent => self.first_content,
            Phase::Idle => self.idle,
            Phase::ContentIdle => self.content_idle,
            Phase::Throughput => self.floor.map(|floor| floor.window),
            Phase::Total => self.total,
            _ => None,
        }
    }

    /// Whether each limit can pass before a call ends that may take so long, and a stream so long. What
    /// [`attempt`](TimeoutLayer::attempt), [`chat`](TimeoutLayer::chat) and [`reasoning`](TimeoutLayer::reasoning) bring beside the limits on
    /// head and first content is never wrong.
    ///
    /// # Errors
    ///
    /// The limit that is no shorter than the deadline; a total that is longer.
    pub fn act_within(&self, deadline: Option<Duration>, stream_deadline: Option<Duration>) -> Result<(), InvalidConfig> {
        let longest = deadline.zip(stream_deadline).map(|(all, stream)| all.max(stream));
        let usual = [60, 300, 180].map(Duration::from_secs);
        let of_ours = |limit: &Duration| !usual.contains(limit);
        let nanosecond = Duration::from_nanos(1);
        let window = self.floor.filter(|floor| floor.bytes != 2 * floor.window.as_secs()).map(|floor| floor.window);
        let limits = [
            ("head", self.head, deadline),
            ("first_content", self.first_content, stream_deadline),
            ("idle", self.idle.filter(of_ours), longest),
            ("content_idle", self.content_idle.filter(of_ours), stream_deadline),
            ("min_throughput", window, stream_deadline),
            // One that ends with the deadline says the same.
            ("total", self.total, deadline.map(|end| end + nanosecond)),
            ("stream_total", self.stream_total, stream_deadline.map(|end| end + nanosecond)),
        ];
        for (field, limit, end) in limits {
            if let Some((limit, end)) = limit.zip(end).filter(|(limit, end)| limit >= end) {
                let why = format!("is {}, and a call ends after {}, so that it never passes; say less", time(limit), time(end));
                return Err(InvalidConfig::new(field, why));
            }
        }
        Ok(())
    }
}

impl fmt::Display for TimeoutLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.limits())?;
        if self.has_profile() { f.write_str("\nor what a profile of yours says of a request") } else { Ok(()) }
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let floor = self.floor.map(|floor| format!("at least {} bytes of a stream in {}", floor.bytes, time(floor.window)));
        let of = |what: &str, limit: Option<Duration>| limit.map(|limit| format!("{what} {}", time(limit)));
        let (both, parts) = (self.total == self.stream_total, [of("all", self.total), of("all of a stream", self.stream_total)]);
        let [total, stream] = parts;
        let said = [
            of("head", self.head),
            of("first content of a stream", self.first_content),
            of("silence", self.idle),
            of("a stream without content", self.content_idle),
            floor,
            total,
            stream.filter(|_| !both),
        ];
        let said: Vec<_> = said.into_iter().flatten().collect();
        if said.is_empty() { f.write_str("the deadline, and nothing else") } else { f.write_str(&said.join("\n")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn a_layer_tells_its_limits() {
        assert_eq!(
            TimeoutLayer::attempt().first_content(secs(10)).unwrap().to_string(),
            "head 2 min\nfirst content of a stream 10 s\nsilence 1 min\na stream without content 3 min\n\
             at least 600 bytes of a stream in 5 min"
        );
        assert_eq!(TimeoutLayer::call().to_string(), "all 10 min\nall of a stream 1 h");
        assert_eq!(TimeoutLayer::new().total(secs(5)).unwrap().to_string(), "all 5 s");
        assert!(
            TimeoutLayer::new().profile(|_, _| None).to_string().starts_with("the deadline, and nothing else\nor what a profile")
        );
    }

    #[test]
    fn a_limit_that_cannot_pass_before_the_deadline_is_refused_by_name() {
        let field = |layer: TimeoutLayer, deadline, stream| {
            layer.limits().act_within(Some(secs(deadline)), Some(secs(stream))).map_err(|error| error.field())
        };
        let new = TimeoutLayer::new;
        assert_eq!(field(TimeoutLayer::attempt(), 600, 3600), Ok(()));
        assert_eq!(field(TimeoutLayer::attempt(), 120, 3600), Err("head"));
        assert_eq!(field(TimeoutLayer::attempt(), 121, 90), Err("first_content"));
        assert_eq!(field(TimeoutLayer::attempt().head(secs(5)).unwrap(), 20, 20), Ok(()), "the others are nobody's wish");
        assert_eq!(field(new().idle(secs(20)).unwrap(), 20, 20), Err("idle"));
        assert_eq!(field(new().idle(secs(20)).unwrap(), 20, 21), Ok(()), "a stream may be silent for that long");
        assert_eq!(field(new().content_idle(secs(20)).unwrap(), 60, 20), Err("content_idle"));
        assert_eq!(field(new().min_throughput(100, secs(20)).unwrap(), 60, 20), Err("min_throughput"));
        assert_eq!(field(new().total(secs(21)).unwrap(), 20, 60), Err("total"));
        assert_eq!(field(TimeoutLayer::call(), 600, 3600), Ok(()), "it ends with the deadline");
        assert_eq!(TimeoutLayer::attempt().limits().act_within(None, None), Ok(()));
    }

    #[test]
    fn each_limit_can_be_asked_for() {
        let limits = TimeoutLayer::attempt().first_content(secs(10)).unwrap().total(secs(30)).unwrap().limits();
        use Phase as P;
        let told = [P::Head, P::FirstContent, P::Idle, P::ContentIdle, P::Throughput, P::Total].map(|phase| limits.get(phase));
        assert_eq!(told, [120, 10, 60, 180, 300, 30].map(|n| Some(secs(n))));
        assert_eq!(limits.get(P::Connect), None);
    }
}

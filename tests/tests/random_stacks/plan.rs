//! What happens, and to what stack.

use proptest::prelude::*;

/// What a target does when it is asked, and after how many milliseconds.
#[derive(Clone, Copy, Debug)]
pub enum Does {
    Status(u16, u64),
    Stream(Streams, u64),
    Refuse,
    Silence,
}

/// How a stream goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    Whole,
    /// Its first event is an error.
    Failed,
    /// It ends before any content.
    Empty,
    /// It ends, or falls silent, after some.
    Cut,
    Stalled,
}

#[derive(Clone, Debug)]
pub struct Place {
    /// What it does the first time that it is asked, the second, and so on, over and over.
    pub script: Vec<Does>,
    /// Its own settings.
    pub attempts: Option<u32>,
    pub head: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// When it comes, and how long it stays; none waits to the end.
    pub comes: u64,
    pub leaves: Option<u64>,
    pub streams: bool,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub places: Vec<Place>,
    pub callers: Vec<Caller>,
    pub attempts: u32,
    pub max_targets: usize,
    pub max_attempts: u32,
    pub opens_after: u32,
    pub per_minute: u32,
    pub at_once: u32,
    /// What the retry budget of each target begins with.
    pub tokens: u32,
    pub head: u64,
    pub deadline: u64,
    /// Nothing but the targets themselves keeps a call from its answer.
    pub roomy: bool,
}

/// Never at the same instant as a limit, which is a multiple of ten.
fn after(most: u64) -> impl Strategy<Value = u64> {
    (0..most / 10).prop_map(|tens| tens * 10 + 5)
}

fn limit(from: u64, to: u64) -> impl Strategy<Value = u64> {
    (from / 10..to / 10).prop_map(|tens| tens * 10)
}

fn does() -> impl Strategy<Value = Does> {
    let status = (prop::sample::select(vec![200_u16, 200, 400, 429, 500, 503]), after(3000));
    let how = prop::sample::select(vec![
        Streams::Whole,
        Streams::Whole,
        Streams::Failed,
        Streams::Empty,
        Streams::Cut,
        Streams::Stalled,
    ]);
    prop_oneof![
        5 => status.prop_map(|(code, after)| Does::Status(code, after)),
        3 => (how, after(3000)).prop_map(|(how, after)| Does::Stream(how, after)),
        1 => Just(Does::Refuse),
        1 => Just(Does::Silence),
    ]
}

fn place(script: usize) -> impl Strategy<Value = Place> {
    let own = (prop::option::weighted(0.3, 1..4_u32), prop::option::weighted(0.3, limit(100, 4000)));
    (prop::collection::vec(does(), 1..=script), own).prop_map(|(script, (attempts, head))| Place { script, attempts, head })
}

fn callers() -> impl Strategy<Value = Vec<Caller>> {
    let caller = (0..20_000_u64, prop::option::weighted(0.5, 0..9000_u64), any::<bool>());
    let caller = caller.prop_map(|(comes, leaves, streams)| Caller { comes, leaves, streams });
    prop::collection::vec(caller, 1..7)
}

pub fn plans() -> impl Strategy<Value = Plan> {
    let limits = (1..5_u32, 1..5_usize, 1..9_u32, 1..6_u32);
    let guards = (6..600_u32, 1..5_u32, 0..4_u32);
    (prop::collection::vec(place(3), 1..5), callers(), limits, guards, (limit(100, 4000), limit(500, 20_000))).prop_map(
        |(
            places,
            callers,
            (attempts, max_targets, max_attempts, opens_after),
            (per_minute, at_once, tokens),
            (head, deadline),
        )| {
            Plan {
                places,
                callers,
                attempts,
                max_targets,
                max_attempts,
                opens_after,
                per_minute,
                at_once,
                tokens,
                head,
                deadline,
                roomy: false,
            }
            .that_acts()
        },
    )
}

/// Each target always does the same, none breaks off within an answer (which would open its circuit), and the limits are as wide as the
/// whole history.
pub fn roomy() -> impl Strategy<Value = Plan> {
    let breaks = |does: &Does| matches!(does, Does::Stream(Streams::Cut | Streams::Stalled, _));
    let place = place(1).prop_filter("breaks off", move |place| !place.script.iter().any(breaks));
    (prop::collection::vec(place, 1..5), callers(), 1..4_u32, 2..6_u32, limit(100, 4000)).prop_map(
        |(places, callers, attempts, opens_after, head)| Plan {
            max_targets: places.len(),
            places,
            callers,
            attempts,
            max_attempts: 1000,
            opens_after,
            per_minute: 6000,
            at_once: 100,
            tokens: 20,
            head,
            deadline: 600_000,
            roomy: true,
        },
    )
}

impl Plan {
    /// Without policies that could never act, which no stack is built with: limits that end after the call, and attempts of which the first
    /// target takes all.
    fn that_acts(mut self) -> Self {
        let longest = self.deadline - 10;
        self.head = self.head.min(longest);
        self.places.iter_mut().for_each(|place| place.head = place.head.map(|head| head.min(longest)));
        self.max_attempts = self.max_attempts.max(self.attempts_at(0) + 1);
        self
    }

    pub fn head_at(&self, place: usize) -> u64 {
        self.places[place].head.unwrap_or(self.head)
    }

    pub fn attempts_at(&self, place: usize) -> u32 {
        self.places[place].attempts.unwrap_or(self.attempts)
    }

    /// Where the answer of a call comes from in a roomy plan: the first target whose answer does not move on.
    pub fn first_that_can(&self) -> Option<usize> {
        let stays = |place: usize| match self.places[place].script[0] {
            Does::Status(200 | 400, after) => after < self.head_at(place),
            Does::Stream(Streams::Whole, after) => after + 20 < self.head_at(place),
            _ => false,
        };
        (0..self.places.len()).find(|place| stays(*place))
    }
}

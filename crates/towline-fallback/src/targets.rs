//! The targets of a layer, and which of them is next.

use std::time::Duration;

use towline_core::{InvalidConfig, Jitter, Target};
use towline_wire::patch::Patch;

/// What a target is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// For each call.
    Ordinary,
    /// For prompts that do not fit the window of another.
    Window,
    /// For what the policy of another refuses.
    Policy,
}

/// Each target with its role. A target is known by its place in here, which never changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Targets {
    all: Vec<Target>,
    roles: Vec<Role>,
    /// What each wants changed in a body.
    patches: Vec<Patch>,
}

impl Targets {
    pub(crate) fn add(
        &mut self,
        role: Role,
        field: &'static str,
        more: impl IntoIterator<Item = Target>,
    ) -> Result<(), InvalidConfig> {
        for target in more {
            if self.of(role).any(|(_, other)| *other == target) {
                return Err(InvalidConfig::new(field, format!("two targets are called {:?}", target.name())));
            }
            self.patches.push(patch_for(&target)?);
            self.all.push(target);
            self.roles.push(role);
        }
        Ok(())
    }

    /// Orders the ordinary targets by what they charge; those that charge the same stay in their order.
    ///
    /// # Errors
    ///
    /// `cheapest_first` if one has no price, or a weight.
    pub(crate) fn cheapest_first(&mut self) -> Result<(), InvalidConfig> {
        let wrong = |why: &str, target: &Target| InvalidConfig::new("cheapest_first", format!("{why}: {:?}", target.name()));
        let mut priced = Vec::with_capacity(self.all.len());
        for (_, target) in self.of(Role::Ordinary) {
            let price = target.price().ok_or_else(|| wrong("a target has no price", target))?;
            if target.weight().is_some() {
                return Err(wrong("a target is drawn by its weight", target));
            }
            priced.push((price.input().saturating_mul(INPUT_FOR_OUTPUT).saturating_add(price.output()), target.clone()));
        }
        priced.sort_by_key(|(charged, _)| *charged);
        let others: Vec<_> = self.all.drain(..).zip(self.roles.drain(..)).filter(|(_, role)| *role != Role::Ordinary).collect();
        self.patches.clear();
        self.add(Role::Ordinary, "targets", priced.into_iter().map(|(_, target)| target))?;
        others.into_iter().try_for_each(|(target, role)| self.add(role, "targets", [target]))
    }

    pub(crate) fn all(&self) -> &[Target] {
        &self.all
    }

    pub(crate) fn at(&self, at: usize) -> Option<&Target> {
        self.all.get(at)
    }

    pub(crate) fn patch(&self, at: usize) -> Option<&Patch> {
        self.patches.get(at)
    }

    pub(crate) fn role(&self, at: usize) -> Option<Role> {
        self.roles.get(at).copied()
    }

    pub(crate) fn with_role(&self, role: Role) -> impl Iterator<Item = &Target> {
        self.of(role).map(|(_, target)| target)
    }

    /// The ordinary target of this name.
    pub(crate) fn ordinary(&self, name: &str) -> Option<usize> {
        self.of(Role::Ordinary).find(|(_, target)| target.name() == name).map(|(at, _)| at)
    }

    pub(crate) fn has(&self, role: Role) -> bool {
        self.of(role).next().is_some()
    }

    /// The next target of `role` for a call that has been at `past`: by weight if any has one, else in order. Those without a
    /// weight come after those with one.
    pub(crate) fn next(&self, role: Role, past: impl Fn(usize) -> bool, jitter: &Jitter) -> Option<usize> {
        let left = || self.of(role).filter(|(_, target)| !self.is_past(target, &past));
        let weight = |target: &Target| target.weight().map_or(0, |weight| u64::from(weight.get()));
        let whole: u64 = left().map(|(_, target)| weight(target)).sum();
        let Some(most) = whole.checked_sub(1) else { return left().next().map(|(at, _)| at) };
        // The jitter draws each nanosecond as often as any other, so each unit of weight.
        let mut drawn = u64::try_from(jitter.up_to(Duration::from_nanos(most)).as_nanos()).unwrap_or(0);
        left().find_map(|(at, target)| match drawn.checked_sub(weight(target)) {
            Some(rest) => {
                drawn = rest;
                None
            }
            None => Some(at),
        })
    }

    /// Whether any target is left for a call that has been at `past`.
    pub(crate) fn has_left(&self, role: Role, past: impl Fn(usize) -> bool) -> bool {
        self.of(role).any(|(_, target)| !self.is_past(target, &past))
    }

    /// Whether the call has been at this target, in whatever role.
    fn is_past(&self, target: &Target, past: impl Fn(usize) -> bool) -> bool {
        self.all.iter().enumerate().any(|(at, other)| past(at) && other == target)
    }

    fn of(&self, role: Role) -> impl Iterator<Item = (usize, &Target)> {
        let all = self.all.iter().zip(&self.roles).enumerate();
        all.filter(move |(_, (_, other))| **other == role).map(|(at, (target, _))| (at, target))
    }
}

/// What is to be changed in the bodies of requests to `target`.
fn patch_for(target: &Target) -> Result<Patch, InvalidConfig> {
    let wrong = |why: &str| InvalidConfig::new("parameters", format!("of target {:?} {why}", target.name()));
    let mut patch = Patch::new();
    if let Some(model) = target.model() {
        patch = patch.model(model);
    }
    if let Some(prompt) = target.system_prompt() {
        patch = patch.system_prompt(prompt);
    }
    if let Some(json) = target.parameters() {
        patch = patch.parameters(json).map_err(|_| wrong("are not a JSON object"))?;
    }
    if patch.sets("model") {
        return Err(wrong("name a model; use `with_model`, which knows where it stands"));
    }
    if patch.sets("stream") {
        return Err(wrong("say whether to stream; that is the caller's, who reads the answer"));
    }
    Ok(patch)
}

/// How many tokens of input there are for one of output where prices are compared.
const INPUT_FOR_OUTPUT: u64 = 3;

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;

    fn targets(weights: &[u32]) -> Targets {
        let mut targets = Targets::default();
        let made = weights.iter().enumerate().map(|(nth, weight)| {
            let target = Target::new(nth.to_string(), "http://host").unwrap();
            NonZeroU32::new(*weight).map_or(target.clone(), |weight| target.with_weight(weight))
        });
        targets.add(Role::Ordinary, "targets", made).unwrap();
        targets
    }

    fn order(targets: &Targets, jitter: &Jitter) -> Vec<usize> {
        let mut past = Vec::new();
        while let Some(at) = targets.next(Role::Ordinary, |at| past.contains(&at), jitter) {
            past.push(at);
        }
        past
    }

    #[test]
    fn without_weights_the_order_is_that_of_the_list() {
        assert_eq!(order(&targets(&[0, 0, 0]), &Jitter::new()), [0, 1, 2]);
    }

    #[test]
    fn a_target_is_drawn_in_proportion_to_its_weight_and_those_without_come_last() {
        let (targets, jitter) = (targets(&[0, 1, 3]), Jitter::seeded(7));
        let mut first = [0_u32; 3];
        for _ in 0..4000 {
            let order = order(&targets, &jitter);
            assert_eq!(order[2], 0);
            first[order[0]] += 1;
        }
        assert!((900..1100).contains(&first[1]), "{first:?}");
    }

    #[test]
    fn a_target_that_stands_in_two_lists_is_past_in_both() {
        let mut targets = targets(&[0, 0]);
        let large = Target::new("1", "http://host").unwrap();
        targets.add(Role::Window, "context_window_targets", [large.clone()]).unwrap();
        assert_eq!(targets.next(Role::Window, |at| at == 0, &Jitter::new()), Some(2));
        assert_eq!(targets.next(Role::Window, |at| at == 1, &Jitter::new()), None);
        assert!(!targets.has_left(Role::Window, |at| at == 1));
        assert!(targets.add(Role::Window, "context_window_targets", [large]).is_err());
    }

    #[test]
    fn ordinary_targets_are_ordered_by_price_and_others_keep_their_places() {
        let priced = |name: &str, input, output| {
            Target::new(name, "http://host").unwrap().with_price(towline_core::Price::per_million(input, output).unwrap())
        };
        let mut targets = Targets::default();
        let ordinary = [priced("dear", 5.0, 25.0), priced("as cheap", 1.0, 2.0), priced("cheap", 0.0, 5.0)];
        targets.add(Role::Ordinary, "targets", ordinary).unwrap();
        targets.add(Role::Window, "context_window_targets", [Target::new("large", "http://host").unwrap()]).unwrap();
        targets.cheapest_first().unwrap();
        assert_eq!(targets.all().iter().map(Target::name).collect::<Vec<_>>(), ["as cheap", "cheap", "dear", "large"]);
        assert_eq!(targets.role(3), Some(Role::Window));

        for wrong in [Target::new("?", "http://host").unwrap(), priced("?", 1.0, 1.0).with_weight(NonZeroU32::MIN)] {
            let mut targets = Targets::default();
            targets.add(Role::Ordinary, "targets", [wrong]).unwrap();
            assert_eq!(targets.cheapest_first().unwrap_err().field(), "cheapest_first");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_weights_each_target_comes_once(weights in proptest::collection::vec(0..5_u32, 0..8), seed: u64) {
            let mut order = order(&targets(&weights), &Jitter::seeded(seed));
            order.sort_unstable();
            prop_assert_eq!(order, (0..weights.len()).collect::<Vec<_>>());
        }
    }
}

//! Whether what was set can act at all.

use std::time::Duration;

use towline_core::{Failure, FailureKind, InvalidConfig, Target};

use crate::{FallbackLayer, config::Config, targets::Role};

impl FallbackLayer {
    /// Whether what was set can act at all, where at a target that has no number of its own so many attempts are made. Defaults are never
    /// wrong.
    ///
    /// # Errors
    ///
    /// - `max_attempts` if the first target takes as many, so that no other has its turn,
    /// - `wait_for_recovery`, `deadline_share`, `auth_moves_on`, `spill_over`, `sticky` or `moves_on_from` if there is no second target,
    /// - `context_window_targets` or `content_policy_targets` if no call could ever come to them: since there is no other target to come
    ///   from, or since [`moves_on`](Self::moves_on) says so of all that there are; or if one has the name of an ordinary target and
    ///   is another.
    pub fn acts_with(&self, attempts: u32) -> Result<(), InvalidConfig> {
        let config = &self.config;
        config.leaves_a_turn(attempts)?;
        config.has_use_for_a_second()?;
        config.leads_to(Role::Window, FailureKind::ContextLength, "context_window_targets")?;
        config.leads_to(Role::Policy, FailureKind::ContentPolicy, "content_policy_targets")
    }
}

impl Config {
    fn ordinary(&self) -> impl Iterator<Item = &Target> {
        self.targets.with_role(Role::Ordinary)
    }

    fn leaves_a_turn(&self, attempts: u32) -> Result<(), InvalidConfig> {
        let Some((most, first)) = self.max_attempts.zip(self.ordinary().next()).filter(|_| self.ordinary().nth(1).is_some())
        else {
            return Ok(());
        };
        let (most, taken) = (most.get(), first.attempts().map_or(attempts, |own| own.get()));
        if taken < most {
            return Ok(());
        }
        let why = format!("is {most}, and {:?} alone takes {taken} attempts, so that no other target has its turn", first.name());
        Err(InvalidConfig::new("max_attempts", format!("{why}; say {} at least", taken.saturating_add(1))))
    }

    fn has_use_for_a_second(&self) -> Result<(), InvalidConfig> {
        if self.targets.all().len() > 1 {
            return Ok(());
        }
        let usual = Self::new(crate::targets::Targets::default());
        let idle = [
            ("wait_for_recovery", self.recovery != usual.recovery && self.recovery > Duration::ZERO),
            ("deadline_share", self.share != usual.share && self.share < 1.0),
            ("auth_moves_on", self.auth_moves_on),
            ("spill_over", self.spill.budget().is_some()),
            ("sticky", self.sticky.is_some()),
            ("moves_on_from", !self.of_targets.is_empty()),
        ];
        match idle.into_iter().find(|(_, set)| *set) {
            Some((field, _)) => Err(InvalidConfig::new(field, "is set, and there is no second target; name one with `targets`")),
            None => Ok(()),
        }
    }

    fn leads_to(&self, role: Role, kind: FailureKind, field: &'static str) -> Result<(), InvalidConfig> {
        if !self.targets.has(role) {
            return Ok(());
        }
        let elsewhere =
            |target: &Target, from: &Target| target == from && (target.base(), target.model()) != (from.base(), from.model());
        for target in self.targets.with_role(role) {
            let name = target.name();
            if self.ordinary().any(|from| elsewhere(target, from)) {
                let why = format!("names {name:?}, which is an ordinary target too, and another; give it a name of its own");
                return Err(InvalidConfig::new(field, why));
            }
            if self.ordinary().all(|from| from == target) {
                let why = format!("names {name:?}, which is the only ordinary target, so that nobody comes to it; name another");
                return Err(InvalidConfig::new(field, why));
            }
        }
        let failure = Failure::new(kind);
        if self.ordinary().any(|from| self.lists(from, Role::Ordinary, &failure).contains(&Some(role))) {
            return Ok(());
        }
        Err(InvalidConfig::new(
            field,
            format!("has targets, and by `moves_on` no failure of kind {kind} moves on; take away one of both"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn target(name: &str) -> Target {
        Target::new(name, format!("http://{name}")).unwrap()
    }

    fn layer<const N: usize>(names: [&str; N]) -> FallbackLayer {
        FallbackLayer::new(names.map(target)).unwrap()
    }

    fn wrong(layer: &FallbackLayer) -> (&'static str, String) {
        let error = layer.acts_with(3).unwrap_err();
        (error.field(), error.to_string())
    }

    #[test]
    fn attempts_that_leave_no_other_target_its_turn_are_refused() {
        let two = |most| layer(["a", "b"]).max_attempts(most).unwrap();
        assert_eq!((two(4).acts_with(3), layer(["a", "b"]).acts_with(9)), (Ok(()), Ok(())));
        assert_eq!(layer(["a"]).max_attempts(3).unwrap().acts_with(3), Ok(()), "there is nobody to have a turn");
        assert_eq!(
            two(3).acts_with(3).unwrap_err().to_string(),
            "invalid configuration: `max_attempts` is 3, and \"a\" alone takes 3 attempts, so that no other target has its turn; \
             say 4 at least"
        );
        let own = target("a").with_attempts(NonZeroU32::MIN);
        assert_eq!(FallbackLayer::new([own, target("b")]).unwrap().max_attempts(3).unwrap().acts_with(9), Ok(()));
    }

    #[test]
    fn what_is_for_a_second_target_is_refused_without_one() {
        let one = || layer(["a"]);
        assert_eq!(one().wait_for_recovery(Duration::ZERO).deadline_share(1.0).unwrap().acts_with(3), Ok(()));
        assert_eq!(wrong(&one().wait_for_recovery(Duration::from_secs(9))).0, "wait_for_recovery");
        assert_eq!(wrong(&one().deadline_share(0.3).unwrap()).0, "deadline_share");
        assert_eq!(wrong(&one().auth_moves_on(true)).0, "auth_moves_on");
        assert_eq!(wrong(&one().spill_over(0.5, 9).unwrap()).0, "spill_over");
        assert_eq!(wrong(&one().sticky(|_| None, Duration::from_secs(9))).0, "sticky");
        assert_eq!(wrong(&one().moves_on_from("a", |_| None).unwrap()).0, "moves_on_from");
        assert_eq!(layer(["a", "b"]).auth_moves_on(true).acts_with(3), Ok(()));
    }

    #[test]
    fn a_list_that_no_call_could_come_to_is_refused() {
        let to_b = |layer: FallbackLayer| layer.context_window_targets([target("b")]).unwrap();
        assert_eq!((to_b(layer(["a"])).acts_with(3), to_b(layer(["a", "b"])).acts_with(3)), (Ok(()), Ok(())));
        assert!(wrong(&to_b(layer(["b"]))).1.contains("the only ordinary target"));
        let other = layer(["a", "b"]).content_policy_targets([target("b").with_model("larger")]).unwrap();
        assert_eq!(wrong(&other).0, "content_policy_targets");
        assert!(wrong(&other).1.contains("give it a name of its own"));
        let never =
            |layer: FallbackLayer| layer.moves_on(|failure| (failure.kind == FailureKind::ContextLength).then_some(false));
        assert!(wrong(&never(to_b(layer(["a"])))).1.contains("by `moves_on` no failure of kind context_length moves on"));
    }
}

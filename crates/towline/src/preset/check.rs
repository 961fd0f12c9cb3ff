//! Whether all that a preset wants is there.

use towline_core::{FailureKind, InvalidConfig, Target};
use towline_fallback::{DegradeLayer, FallbackLayer};

use super::{Preset, Role, Wanted};

impl Preset {
    /// Each role with who plays it, if anybody does.
    pub(crate) fn cast(&self, fallback: &FallbackLayer, degrade: &DegradeLayer) -> Vec<(Wanted, Option<String>)> {
        let mut ordinary = fallback.targets_for(FailureKind::Unknown);
        let names = |targets: &mut dyn Iterator<Item = &Target>| {
            let names: Vec<_> = targets.map(|target| format!("{:?}", target.name())).collect();
            (!names.is_empty()).then(|| names.join(", "))
        };
        let play = |wanted: &Wanted| {
            let player = match wanted.role {
                Role::LargerWindow => names(&mut fallback.targets_for(FailureKind::ContextLength)),
                Role::SecondKey => {
                    names(&mut fallback.targets_for(FailureKind::Unknown).filter(|target| target.keys().len() > 1))
                }
                Role::Queue => degrade.has_queue().then(|| "yours".to_owned()),
                Role::Reviewer => fallback.is_reviewed().then(|| "yours".to_owned()),
                _ => names(&mut ordinary.next().into_iter()),
            };
            (*wanted, player)
        };
        self.roles.iter().map(play).collect()
    }

    /// Whether each role that is needed is filled, and no target breaks what the preset promises.
    pub(crate) fn check(&self, fallback: &FallbackLayer, degrade: &DegradeLayer) -> Result<(), InvalidConfig> {
        let unfilled = self.cast(fallback, degrade).into_iter().find(|(wanted, player)| wanted.needed && player.is_none());
        if let Some((wanted, _)) = unfilled {
            let ordinary = fallback.targets_for(FailureKind::Unknown).count();
            return Err(self.unfilled(wanted.role, ordinary));
        }
        if self.one_model { self.has_one_model(fallback.targets()) } else { Ok(()) }
    }

    fn unfilled(&self, role: Role, ordinary: usize) -> InvalidConfig {
        let (name, field, purpose) = (&self.name, role.field(), role.purpose());
        let there = if field == "targets" { format!("names {ordinary}, and") } else { "is not said, and".to_owned() };
        let why = format!("{there} preset `{name}` needs one more role filled, {role}: {purpose}; fill it, or do `without` it");
        InvalidConfig::new(field, why)
    }

    fn has_one_model(&self, targets: &[Target]) -> Result<(), InvalidConfig> {
        let Some(two) = targets.windows(2).find(|two| matches!(two, [one, other] if one.model() != other.model())) else {
            return Ok(());
        };
        let told = two.iter().map(|target| format!("{:?} has {}", target.name(), target.model().unwrap_or("the caller's")));
        let (name, told) = (&self.name, told.collect::<Vec<_>>().join(", "));
        let why =
            format!("must all have the same model with preset `{name}`: {told}; set `one_model` to false if their answers mix");
        Err(InvalidConfig::new("targets", why))
    }
}

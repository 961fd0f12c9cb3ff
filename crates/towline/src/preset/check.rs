//! Whether all that a preset wants is there.

use towline_core::{FailureKind, InvalidConfig, Target};
use towline_fallback::{DegradeLayer, FallbackLayer};

use super::{Preset, Role};

impl Preset {
    /// Whether each role that is needed is filled, and no target breaks what the preset promises.
    pub(crate) fn check(&self, fallback: &FallbackLayer, degrade: &DegradeLayer) -> Result<(), InvalidConfig> {
        let ordinary: Vec<_> = fallback.targets_for(FailureKind::Unknown).collect();
        let mut nth = 0;
        for wanted in &self.roles {
            let filled = match wanted.role {
                Role::LargerWindow => fallback.targets_for(FailureKind::ContextLength).next().is_some(),
                Role::SecondKey => ordinary.iter().any(|target| target.keys().len() > 1),
                Role::Queue => degrade.has_queue(),
                Role::Reviewer => fallback.is_reviewed(),
                _ => {
                    nth += 1;
                    ordinary.len() >= nth
                }
            };
            if wanted.needed && !filled {
                return Err(self.unfilled(wanted.role, ordinary.len()));
            }
        }
        if self.one_model { self.has_one_model(fallback.targets()) } else { Ok(()) }
    }

    fn unfilled(&self, role: Role, ordinary: usize) -> InvalidConfig {
        let (name, field) = (&self.name, role.field());
        let there = if field == "targets" { format!("names {ordinary}, and") } else { "is not said, but".to_owned() };
        let why = format!(
            "{there} preset `{name}` needs a role filled: {role} ({}); name one, or do without it: `Preset::without`",
            role.purpose()
        );
        InvalidConfig::new(field, why)
    }

    fn has_one_model(&self, targets: &[Target]) -> Result<(), InvalidConfig> {
        let Some(two) = targets.windows(2).find(|two| matches!(two, [one, other] if one.model() != other.model())) else {
            return Ok(());
        };
        let told = two.iter().map(|target| format!("{:?} has {}", target.name(), target.model().unwrap_or("the caller's")));
        let told = told.collect::<Vec<_>>().join(", ");
        let why = format!(
            "must all have the same model with preset `{}`: {told}; set `one_model` to false if their answers mix",
            self.name
        );
        Err(InvalidConfig::new("targets", why))
    }
}

//! What a layer was told, for those who check or print it.

use std::fmt;

use towline_core::{InvalidConfig, Target, say::time};

use super::layer::AuthorizeLayer;

impl AuthorizeLayer {
    /// Whether what was set can act at all for these targets. Defaults are never wrong.
    ///
    /// # Errors
    ///
    /// `quarantine` or `limited_for` if no target has several keys.
    pub fn acts_for(&self, targets: &[Target]) -> Result<(), InvalidConfig> {
        let (set, usual) = (self.shared.rests(), *Self::new().shared.rests());
        let fields = [
            ("quarantine", (set.quarantine, set.cap) != (usual.quarantine, usual.cap)),
            ("limited_for", set.limited != usual.limited),
        ];
        let idle = fields.into_iter().find(|(_, is_set)| *is_set);
        match idle.filter(|_| targets.iter().all(|target| target.keys().len() < 2)) {
            Some((field, _)) => Err(InvalidConfig::new(field, "is set, and no target has several keys; see `Target::with_keys`")),
            None => Ok(()),
        }
    }
}

impl fmt::Display for AuthorizeLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rests = self.shared.rests();
        let (limited, first, most) = (time(rests.limited), time(rests.quarantine), time(rests.cap));
        writeln!(f, "of several keys, one that is limited rests for as long as told, else {limited}")?;
        write!(f, "one that is not accepted rests for {first}, twice as long each further time, up to {most}")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use towline_core::Credential;

    use super::*;

    #[test]
    fn a_layer_tells_its_rests_and_refuses_those_of_keys_that_there_are_not() {
        let (second, one) = (Duration::from_secs(1), Target::new("one", "http://host").unwrap());
        let two = one.clone().with_keys(["a", "b"].map(|key| Credential::bearer(key).unwrap()));
        assert_eq!(AuthorizeLayer::new().acts_for(std::slice::from_ref(&one)), Ok(()));
        let layer = AuthorizeLayer::new().limited_for(second);
        assert_eq!(
            layer.to_string(),
            "of several keys, one that is limited rests for as long as told, else 1 s\n\
             one that is not accepted rests for 1 min, twice as long each further time, up to 1 h"
        );
        assert_eq!(layer.acts_for(std::slice::from_ref(&one)).unwrap_err().field(), "limited_for");
        let strict = AuthorizeLayer::new().quarantine(second, second).unwrap();
        assert_eq!((strict.acts_for(&[one]).unwrap_err().field(), strict.acts_for(&[two])), ("quarantine", Ok(())));
    }
}

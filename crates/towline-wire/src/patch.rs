//! Putting another model, other parameters or another system prompt into a request, where all else keeps its bytes.

use std::{error, fmt};

use bytes::Bytes;
use towline_core::Dialect;

use crate::path;

mod edit;
mod prompt;

use edit::{Change, Changes, edit, members};
use prompt::Prompt;

/// A body that is not a JSON object, so there is no place in it for anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotAnObject;

/// What is to be changed in the bodies of requests: made once, applied to each.
///
/// Everything else keeps its bytes: blanks, the order of members, numbers of any size. If a member stands there several times,
/// all are changed; what is missing is put in first. `Debug` names the parameters that are changed, and shows no value.
///
/// ```
/// use bytes::Bytes;
/// use towline_core::Dialect;
/// use towline_wire::patch::Patch;
///
/// let patch = Patch::new().model("b").parameters(r#"{"seed": null, "options": {"x": 1}}"#)?.system_prompt("Be brief.");
/// let body = Bytes::from(r#"{"model":"a", "seed":7, "n":1.00, "options":{"y":2}, "messages":[]}"#);
/// let patched = patch.apply(&body, Some(Dialect::Anthropic))?;
/// assert_eq!(patched, r#"{"system":"Be brief.","model":"b", "n":1.00, "options":{"x":1,"y":2}, "messages":[]}"#);
/// # Ok::<(), towline_wire::patch::NotAnObject>(())
/// ```
#[derive(Clone, Default)]
pub struct Patch {
    model: Changes,
    parameters: Changes,
    prompt: Option<Prompt>,
}

impl Patch {
    /// Changes nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts this model in the place of the top-level `"model"`, or in where there is none. Bodies of Gemini and Bedrock, whose model
    /// stands in the path ([`model_in_path`]), are given none.
    #[must_use]
    pub fn model(mut self, model: &str) -> Self {
        self.model = Changes::one("model", Change::Put(edit::quoted(model)));
        self
    }

    /// Merges the members of `json`, an object, into the body as RFC 7396 has it: an object goes into an object member by member, `null`
    /// removes, anything else replaces. They go before the system prompt where both speak of one member.
    ///
    /// # Errors
    ///
    /// [`NotAnObject`] if `json` is not one JSON object in whole, or nested more than 32 deep.
    pub fn parameters(mut self, json: &str) -> Result<Self, NotAnObject> {
        self.parameters = Changes::parse(json, 32).ok_or(NotAnObject)?;
        Ok(self)
    }

    /// Puts this text in the place of the system prompt, or in where there is none.
    ///
    /// | dialect | where, if the body has a conversation |
    /// |---|---|
    /// | OpenAI Chat Completions | one message of role `system` for those of role `system` or `developer` that `messages` begins with |
    /// | OpenAI Responses | `instructions`; of `input` the items of these roles that it begins with are removed |
    /// | Anthropic | `system`, as text |
    /// | Gemini | `systemInstruction`, one part |
    /// | Bedrock | `system`, one block; as Anthropic where the body has an `anthropic_version` |
    ///
    /// A cache mark that stood on the old prompt is gone with it.
    #[must_use]
    pub fn system_prompt(mut self, text: &str) -> Self {
        self.prompt = Some(Prompt::new(text));
        self
    }

    /// Whether there is nothing to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.model.is_empty() && self.parameters.is_empty() && self.prompt.is_none()
    }

    /// Whether the parameters put in or remove the top-level member of this name.
    #[must_use]
    pub fn sets(&self, name: &str) -> bool {
        self.parameters.names().any(|known| known == name)
    }

    /// The body with all changes made; the system prompt only where the dialect is known. One in which nothing changes comes back
    /// as it is, without a copy.
    ///
    /// # Errors
    ///
    /// [`NotAnObject`] if the body is not one JSON object in whole.
    pub fn apply(&self, body: &Bytes, dialect: Option<Dialect>) -> Result<Bytes, NotAnObject> {
        let model_alone = self.model.only().filter(|_| self.parameters.is_empty() && self.prompt.is_none());
        let in_path = matches!(dialect, Some(Dialect::Gemini | Dialect::Bedrock));
        if let Some(quoted) = model_alone
            && let Some(old) = edit::only_model(body).filter(|old| old.is_some() || in_path)
        {
            // With nothing to replace, nothing changes.
            return Ok(edit::replaced(body, old.as_slice(), quoted).map_or_else(|| body.clone(), Bytes::from));
        }
        let text = str::from_utf8(body).map_err(|_| NotAnObject)?;
        if let Some(quoted) = model_alone
            && let Some(old) = edit::models(text).filter(|old| !old.is_empty())
        {
            return Ok(edit::replaced(body, &old, quoted).map_or_else(|| body.clone(), Bytes::from));
        }
        let members = members(text).ok_or(NotAnObject)?;
        let prompt = self.prompt.as_ref().zip(dialect).map(|(prompt, dialect)| prompt.changes(text, &members, dialect));
        let no_model = in_path && !members.iter().any(|member| member.name == "model");
        let model = if no_model { &Changes::default() } else { &self.model };
        let changes = [model, &self.parameters, &prompt.unwrap_or_default()];
        Ok(edit(text, &members, &changes).map_or_else(|| body.clone(), Bytes::from))
    }
}

/// Replaces the value of the top-level `"model"`, or puts one in first where there is none: [`Patch::model`], applied.
///
/// # Errors
///
/// [`NotAnObject`] if the body is not one JSON object in whole.
///
/// ```
/// let body = bytes::Bytes::from_static(br#"{ "model" : "a", "n": 1.00 }"#);
/// assert_eq!(towline_wire::patch::model(&body, "b").unwrap(), r#"{ "model" : "b", "n": 1.00 }"#);
/// ```
pub fn model(body: &Bytes, model: &str) -> Result<Bytes, NotAnObject> {
    Patch::new().model(model).apply(body, None)
}

/// Replaces the model that a path names; `None` if the path names none, or none that this dialect reads from there.
///
/// Known are Gemini's and Vertex' `models/{model}:verb`, Bedrock's `/model/{id}/verb` and Azure's
/// `/openai/deployments/{model}/...`. The model is percent-encoded; the query stays as it is.
///
/// ```
/// use towline_core::Dialect;
/// use towline_wire::patch::model_in_path;
///
/// let path = "/v1beta/models/gemini-2.5-pro:generateContent?alt=json";
/// assert_eq!(model_in_path(path, Dialect::Gemini, "gemini-3").as_deref(), Some("/v1beta/models/gemini-3:generateContent?alt=json"));
/// assert_eq!(model_in_path("/v1/messages", Dialect::Anthropic, "claude-opus-5"), None);
/// ```
#[must_use]
pub fn model_in_path(path_and_query: &str, dialect: Dialect, model: &str) -> Option<String> {
    let path = path_and_query.split('?').next()?;
    let told = path::read(path);
    // A deployment's path also serves the Responses dialect, whose suffix differs.
    let openai = |dialect| matches!(dialect, Dialect::OpenAiChat | Dialect::OpenAiResponses);
    if told.dialect != Some(dialect) && !(told.dialect.is_some_and(openai) && openai(dialect)) {
        return None;
    }
    let range = told.model?;
    let model = if dialect == Dialect::Gemini { model.strip_prefix("models/").unwrap_or(model) } else { model };
    let (before, after) = (path_and_query.get(..range.start)?, path_and_query.get(range.end..)?);
    Some(format!("{before}{}{after}", path::encode(model)))
}

impl fmt::Debug for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patch")
            .field("model", &!self.model.is_empty())
            .field("parameters", &self.parameters.names().collect::<Vec<_>>())
            .field("system_prompt", &self.prompt.is_some())
            .finish()
    }
}

impl fmt::Display for NotAnObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body is not a JSON object")
    }
}

impl error::Error for NotAnObject {}

#[cfg(test)]
mod tests;

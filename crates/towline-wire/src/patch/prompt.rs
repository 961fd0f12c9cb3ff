//! Where each dialect keeps its system prompt.

use serde_json::value::RawValue;
use towline_core::Dialect;

use super::edit::{Change, Changes, Member, members, quoted, span};

/// A system prompt.
#[derive(Clone)]
pub(super) struct Prompt {
    /// As JSON writes it.
    text: Box<str>,
}

impl Prompt {
    pub(super) fn new(text: &str) -> Self {
        Self { text: quoted(text) }
    }

    /// What puts it into a body that speaks `dialect`; nothing where that has no conversation.
    pub(super) fn changes(&self, body: &str, members: &[Member<'_>], dialect: Dialect) -> Changes {
        let value = |name: &str| members.iter().find(|member| member.name == name).map(|member| member.value(body));
        let text = &self.text;
        let put = |name: &str, json: String| Changes::one(name, Change::Put(json.into()));
        match dialect {
            Dialect::OpenAiChat => {
                let message = format!(r#"{{"role":"system","content":{text}}}"#);
                let messages = value("messages").and_then(|messages| replace_prompts(messages, &message));
                messages.map(|messages| put("messages", messages)).unwrap_or_default()
            }
            Dialect::OpenAiResponses => {
                let Some(input) = value("input") else { return Changes::default() };
                let changes = put("instructions", text.to_string());
                match replace_prompts(input, "") {
                    Some(input) => changes.and("input", Change::Put(input.into())),
                    None => changes,
                }
            }
            Dialect::Gemini if value("contents").is_some() => {
                let own = put("systemInstruction", format!(r#"{{"parts":[{{"text":{text}}}]}}"#));
                own.and("system_instruction", Change::Remove)
            }
            Dialect::Bedrock if value("messages").is_some() && value("anthropic_version").is_none() => {
                put("system", format!(r#"[{{"text":{text}}}]"#))
            }
            Dialect::Anthropic | Dialect::Bedrock if value("messages").is_some() => put("system", text.to_string()),
            _ => Changes::default(),
        }
    }
}

/// A list of messages with `message`, or nothing if that is empty, in the place of the prompts that it begins with. `None` of what is
/// no list.
fn replace_prompts(list: &str, message: &str) -> Option<String> {
    let all: Vec<&RawValue> = serde_json::from_str(list).ok()?;
    let prompts = all.iter().take_while(|one| is_prompt(one.get())).count();
    let at = |nth: usize| all.get(nth).and_then(|one| span(list, one.get()));
    let open = list.find('[')? + 1;
    let begin = at(0).map_or(open, |first| first.start);
    let last = prompts.checked_sub(1).and_then(at).map_or(begin, |last| last.end);
    // With its comma goes what leaves nothing behind, and comes what was not there.
    let (end, comma) = match at(prompts) {
        Some(next) if message.is_empty() => (next.start, ""),
        Some(_) if prompts == 0 => (begin, ","),
        _ => (last, ""),
    };
    Some([list.get(..begin)?, message, comma, list.get(end..)?].concat())
}

fn is_prompt(message: &str) -> bool {
    let role = |member: &Member<'_>| matches!(member.value(message), r#""system""# | r#""developer""#) && member.name == "role";
    members(message).is_some_and(|members| members.iter().any(role))
}

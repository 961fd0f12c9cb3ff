//! What a model has to say, before any dialect.

/// An answer of a model, in no dialect: pieces of text, a call of a tool, and what it cost.
///
/// [`Reply::answer`](crate::Reply::answer) and [`Reply::stream_of`](crate::Reply::stream_of) say it in a provider's own shape.
///
/// ```
/// use towline_testkit::Answer;
///
/// let answer = Answer::text(["It is ", "sunny."]).model("small-1").usage(9, 4);
/// assert_eq!(answer.whole_text(), "It is sunny.");
/// let call = Answer::text(["Let me look."]).tool_call("weather", r#"{"city":"Oslo"}"#);
/// assert_eq!(Answer::counting(3).whole_text(), "1 2 3 ");
/// # let _ = call;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) pieces: Vec<String>,
    pub(crate) tool: Option<ToolCall>,
    pub(crate) usage: Option<Usage>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToolCall {
    pub(crate) name: String,
    pub(crate) arguments: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) input: u64,
    pub(crate) output: u64,
}

impl Answer {
    /// An answer of text, each piece an event of its own where it is streamed. It is of the model `mock-model`, has the id
    /// `mock-1`, and used 12 tokens of input and one token of output for each piece.
    #[must_use]
    pub fn text<T: Into<String>>(pieces: impl IntoIterator<Item = T>) -> Self {
        let pieces: Vec<String> = pieces.into_iter().map(Into::into).collect();
        let usage = Usage { input: 12, output: u64::try_from(pieces.len()).unwrap_or(u64::MAX) };
        Self { id: "mock-1".into(), model: "mock-model".into(), pieces, tool: None, usage: Some(usage) }
    }

    /// An answer that counts from 1 to `n`, a number in each piece: what is missing, doubled or out of order shows.
    #[must_use]
    pub fn counting(n: usize) -> Self {
        Self::text((1..=n).map(|i| format!("{i} ")))
    }

    /// The same answer under another id.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// The same answer from another model.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = model.into();
        self
    }

    /// The same answer with a call of a tool after its text. `arguments` is a JSON object; what is none is said as `{}` in the
    /// dialects that nest it (Gemini, and whole answers of Anthropic and Bedrock).
    #[must_use]
    pub fn tool_call(mut self, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        self.tool = Some(ToolCall { name: name.into(), arguments: arguments.into() });
        self
    }

    /// The same answer for so many tokens of input and output.
    #[must_use]
    pub fn usage(mut self, input: u64, output: u64) -> Self {
        self.usage = Some(Usage { input, output });
        self
    }

    /// The same answer without a word on tokens, as OpenAI streams where `stream_options.include_usage` is not set.
    #[must_use]
    pub fn without_usage(mut self) -> Self {
        self.usage = None;
        self
    }

    /// All pieces in one.
    #[must_use]
    pub fn whole_text(&self) -> String {
        self.pieces.concat()
    }

    /// What is left to say after `said`, which a caller who wants an answer continued sends along; the whole answer if it
    /// does not begin so.
    pub(crate) fn after(&self, said: &str) -> Self {
        let Some(rest) = self.whole_text().strip_prefix(said).map(str::len) else { return self.clone() };
        let mut left = rest;
        let mut pieces: Vec<String> = Vec::new();
        for piece in self.pieces.iter().rev() {
            let kept = piece.len().min(left);
            left = left.saturating_sub(kept);
            // The cut lies where `said` ends, which is between two characters.
            pieces.extend(piece.get(piece.len().saturating_sub(kept)..).filter(|p| !p.is_empty()).map(str::to_owned));
        }
        pieces.reverse();
        Self { pieces, ..self.clone() }
    }
}

impl ToolCall {
    /// The arguments as a JSON value.
    pub(crate) fn value(&self) -> serde_json::Value {
        serde_json::from_str(&self.arguments).unwrap_or_else(|_| serde_json::json!({}))
    }

    /// The arguments in two halves, as which they are streamed.
    pub(crate) fn halves(&self) -> [&str; 2] {
        let middle = (0..=self.arguments.len() / 2).rev().find(|&at| self.arguments.is_char_boundary(at)).unwrap_or(0);
        let (first, second) = self.arguments.split_at(middle);
        [first, second]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_not_said_again() {
        let answer = Answer::counting(12);
        assert_eq!(answer.after("1 2 3 ").pieces, Answer::counting(12).pieces[3..]);
        assert_eq!(answer.after("1 2 3 4 5 6 7 8 9 1").pieces, ["0 ", "11 ", "12 "]);
        assert_eq!(answer.after("something else"), answer);
        assert!(answer.after(&answer.whole_text()).pieces.is_empty());
        assert_eq!(Answer::text(["žluť", "oučký"]).after("žl").pieces, ["uť", "oučký"]);
    }

    #[test]
    fn arguments_are_halved_between_characters() {
        let call = |arguments: &str| ToolCall { name: "t".into(), arguments: arguments.into() };
        assert_eq!(call("éé").halves(), ["é", "é"]);
        assert_eq!(call("é").halves(), ["", "é"]);
        assert_eq!(call("").halves(), ["", ""]);
        assert_eq!(call("not json").value(), serde_json::json!({}));
    }
}

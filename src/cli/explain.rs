//! `drover explain`.

use super::{DONE, REFUSED, Socket, client_failed, say};
use crate::admin::{self, Request};
use clap::Args;
use serde_json::Value;
use std::fmt::Write;
use std::net::Ipv6Addr;

/// The command line behind `explain`.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// The group, or the home address of the terminal.
    #[arg(value_name = "GROUP|TERMINAL")]
    about: Ipv6Addr,
    /// Only packets of this source.
    #[arg(long)]
    source: Option<Ipv6Addr>,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
}

/// Asks the node and prints the steps, a line each, and the verdict; 0 only where nothing is missing.
pub(super) fn explain(options: Options) -> u8 {
    let Options { about, source, json, socket } = options;
    let value = match admin::request(&socket.path(), &Request::Explain { about, source }) {
        Ok(value) => value,
        Err(error) => return client_failed(&error),
    };
    let is_missing = steps(&value).any(|step| step["standing"] == "missing");
    let text = if json { format!("{value:#}\n") } else { text(&value) };
    say(&text, if is_missing { REFUSED } else { DONE })
}

fn steps(explanation: &Value) -> impl Iterator<Item = &Value> {
    explanation["steps"].as_array().into_iter().flatten()
}

fn text(explanation: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let width = steps(explanation).map(|step| word(&step["role"]).len()).max().unwrap_or(0);
    let mut text = String::new();
    for step in steps(explanation) {
        let mark = match step["standing"].as_str() {
            Some("there") => "ok",
            Some("missing") => "miss",
            _ => "note",
        };
        let (role, what) = (word(&step["role"]), word(&step["what"]));
        let _ = write!(text, "{mark:4}  {role:width$}  {what}");
        if let Some(remedy) = step["remedy"].as_str() {
            let _ = write!(text, ": {remedy}");
        }
        text.push('\n');
    }
    text.push_str(&word(&explanation["verdict"]));
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_a_step_and_one_at_the_end() {
        let explanation = json!({
            "steps": [
                { "role": "mma", "standing": "there", "what": "it is bound", "remedy": null },
                { "role": "router", "standing": "missing", "what": "no route to ::5", "remedy": "add a [[route]]" },
                { "role": "router", "standing": "note", "what": "b is down", "remedy": null },
            ],
            "verdict": "missing here: no route to ::5",
        });
        assert_eq!(
            text(&explanation),
            "ok    mma     it is bound\nmiss  router  no route to ::5: add a [[route]]\nnote  router  b is down\nmissing \
             here: no route to ::5\n"
        );
    }
}

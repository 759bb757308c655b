//! Requests and answers on the admin socket: one JSON object a line.
//!
//! `{"show":"routes"}`, `{"show":{"topic":"pim-tib","group":"ff15::/16","limit":20}}`,
//! `{"explain":{"about":"ff15::1","source":"2001:db8::5"}}` (`null` for all sources),
//! `{"signal":{"port":"radio-a","dbm":-70}}` (`null` for no signal), `{"handover":{"to":"2001:db8:200:b::1"}}`,
//! `{"metrics":true}` and `{"stop":true}` are answered by `{"ok":…}` or
//! `{"error":"…"}`, a table that has more rows than the limit by `{"part":{"rows":[…],"more":…}}`.

use super::Query;
use core::net::Ipv6Addr;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Octets of a request at the most, without the line's end.
pub const MAX_REQUEST_LEN: usize = 4096;

/// A request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// Show something.
    Show(Query),
    /// Explain what becomes of the packets of a group, or of a terminal.
    Explain {
        /// The group, or the terminal's home address.
        about: Ipv6Addr,
        /// The only source of interest; absent where all are.
        source: Option<Ipv6Addr>,
    },
    /// Tell a terminal the signal strength of a radio port.
    Signal {
        /// Name of the port in the node's file.
        port: String,
        /// In dBm; absent where there is no signal.
        dbm: Option<i16>,
    },
    /// Tell a terminal that it is about to go to another access router.
    Handover {
        /// An address of the router, or one in the prefix of its link.
        to: Ipv6Addr,
    },
    /// Say all that can be measured, as OpenMetrics text.
    Metrics(bool),
    /// End the process.
    Stop(bool),
}

impl Request {
    /// Reads a line.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(line).map_err(|error| format!("this is no request: {error}"))
    }

    /// The line, with its end.
    pub fn emit(&self) -> Vec<u8> {
        emit(self)
    }
}

/// An answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Answer {
    /// It was done; what was asked for.
    Ok(Value),
    /// The first rows of a table.
    Part {
        /// They.
        rows: Value,
        /// How many there are beside them.
        more: u64,
    },
    /// It was not done; why.
    Error(String),
}

impl Answer {
    /// Reads a line.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(line).map_err(|error| format!("this is no answer: {error}"))
    }

    /// The line, with its end.
    pub fn emit(&self) -> Vec<u8> {
        emit(self)
    }
}

/// Neither type holds a map with keys that are not strings, the only thing that cannot be written as JSON.
fn emit(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).unwrap_or_else(|_| b"{\"error\":\"not representable\"}".to_vec());
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::super::{Topic, groups};
    use super::*;

    #[test]
    fn requests_both_ways() {
        let vectors = [
            (Request::Show(Topic::Mroutes.into()), r#"{"show":"mroutes"}"#),
            (
                Request::Show(Query { topic: Topic::PimTib, group: groups("ff15::/16").ok(), limit: Some(20) }),
                r#"{"show":{"topic":"pim-tib","group":"ff15::/16","limit":20}}"#,
            ),
            (
                Request::Show(Query { topic: Topic::Mroutes, group: groups("ff15::5").ok(), limit: None }),
                r#"{"show":{"topic":"mroutes","group":"ff15::5/128"}}"#,
            ),
            (Request::Signal { port: "radio-a".into(), dbm: Some(-70) }, r#"{"signal":{"port":"radio-a","dbm":-70}}"#),
            (Request::Signal { port: "radio-a".into(), dbm: None }, r#"{"signal":{"port":"radio-a","dbm":null}}"#),
            (
                Request::Explain { about: "ff15::1".parse().unwrap(), source: None },
                r#"{"explain":{"about":"ff15::1","source":null}}"#,
            ),
            (
                Request::Handover { to: "2001:db8:200:b::1".parse().unwrap() },
                r#"{"handover":{"to":"2001:db8:200:b::1"}}"#,
            ),
            (Request::Metrics(true), r#"{"metrics":true}"#),
            (Request::Stop(true), r#"{"stop":true}"#),
        ];
        for (request, line) in vectors {
            assert_eq!(String::from_utf8(request.emit()).unwrap(), format!("{line}\n"));
            assert_eq!(Request::parse(line.as_bytes()), Ok(request));
        }
    }

    #[test]
    fn refuses_what_is_no_request() {
        for line in [
            "",
            "{}",
            "show",
            r#"{"show":"all"}"#,
            r#"{"show":7}"#,
            r#"{"show":{"group":"ff15::/16"}}"#,
            r#"{"show":{"topic":"mroutes","group":"2001:db8::/32"}}"#,
            r#"{"show":{"topic":"mroutes","limit":-1}}"#,
            r#"{"show":{"topic":"mroutes","port":"a"}}"#,
            r#"{"show":"routes","stop":true}"#,
            "{\"show\":",
        ] {
            assert!(Request::parse(line.as_bytes()).is_err(), "{line}");
        }
        assert!(Request::parse(&[0xff; 8]).is_err());
    }
}

//! What a client wants to see, and the parts in which a worker shows it.
//!
//! A table by group can have a million rows. The worker is asked for it in parts, each of which costs it a bounded time
//! between two turns; the thread that asks puts them together until it has as many rows as the client wants, and then has the
//! others counted.

use super::Topic;
use core::fmt;
use core::net::Ipv6Addr;
use serde::de::{self, IntoDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use stack::addr::Prefix;
use stack::machine::PortId;

/// What is to be shown: `"routes"`, or `{"topic":"pim-tib","group":"ff15::/16","limit":20}` with either key or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Query {
    /// What of.
    pub topic: Topic,
    /// Of these groups only; `None` is all. See [`Topic::is_by_group`].
    pub group: Option<Prefix>,
    /// So many rows at the most; `None` is [`Query::DEFAULT_LIMIT`] where there may be many, else all.
    pub limit: Option<usize>,
}

impl Query {
    /// Rows of a table that may be long where the client names no limit.
    pub const DEFAULT_LIMIT: usize = 1000;
    /// Rows that a client can ask for.
    pub const MAX_LIMIT: usize = 10_000;

    /// How many rows the answer has at the most.
    pub fn rows(&self) -> usize {
        let default = if self.topic.may_be_long() { Query::DEFAULT_LIMIT } else { usize::MAX };
        self.limit.unwrap_or(default)
    }

    /// Why this cannot be asked.
    pub fn refusal(&self) -> Option<String> {
        if self.group.is_some() && !self.topic.is_by_group() {
            let by_group = Topic::ALL.into_iter().filter(|topic| topic.is_by_group());
            let names = by_group.map(Topic::name).collect::<Vec<_>>().join(", ");
            return Some(format!(
                "{} is not by group; leave the group out, or ask for one of {names}",
                self.topic.name()
            ));
        }
        self.limit
            .is_some_and(|limit| limit > Query::MAX_LIMIT)
            .then(|| format!("a limit is at most {}; name a group to see others", Query::MAX_LIMIT))
    }
}

impl From<Topic> for Query {
    fn from(topic: Topic) -> Self {
        Query { topic, group: None, limit: None }
    }
}

/// A query with all its keys.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    topic: Topic,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
}

impl Serialize for Query {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Query { topic, group, limit } = *self;
        match (group, limit) {
            (None, None) => topic.serialize(serializer),
            _ => Keys { topic, group: group.map(|group| group.to_string()), limit }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Query {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Query;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a topic, or an object with a topic")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Query, E> {
                Topic::deserialize(text.into_deserializer()).map(Query::from)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Query, A::Error> {
                let Keys { topic, group, limit } = Keys::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let group = group.map(|group| groups(&group)).transpose().map_err(de::Error::custom)?;
                Ok(Query { topic, group, limit })
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// What is to be explained.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// A group, or the home address of a terminal.
    pub about: Ipv6Addr,
    /// The only source of interest.
    pub source: Option<Ipv6Addr>,
    /// Sources with state on the node, for where none is named.
    pub sources: Vec<Ipv6Addr>,
    /// How many there are beside them.
    pub more_sources: u64,
}

impl Question {
    /// Sources that are looked at.
    pub const MAX_SOURCES: usize = 8;

    /// The query that finds the sources, where they have to be found: a group has no index of its sources.
    pub fn to_find_sources(&self) -> Option<Query> {
        let group = Some(Prefix::host(self.about));
        let is_open = self.about.is_multicast() && self.source.is_none();
        // One more for (*,G).
        is_open.then_some(Query { topic: Topic::PimTib, group, limit: Some(Question::MAX_SOURCES + 1) })
    }

    /// Takes the sources out of the answer.
    pub fn learn_sources(&mut self, page: &Page) {
        let rows = page.value.as_array().into_iter().flatten();
        let sources = rows.filter_map(|row| row["source"].as_str()?.parse().ok());
        self.sources = sources.filter(|source: &Ipv6Addr| !source.is_unspecified()).collect();
        self.more_sources = page.more;
    }
}

/// A range of groups: a group, or a prefix of groups.
pub fn groups(text: &str) -> Result<Prefix, String> {
    let prefix = match text.parse::<Ipv6Addr>() {
        Ok(group) => Prefix::host(group),
        Err(_) => text.parse::<Prefix>().map_err(|error| format!("\"{text}\": {error}"))?,
    };
    if !prefix.address().is_multicast() || prefix.length() < 8 {
        return Err(format!("\"{text}\": groups are in ff00::/8"));
    }
    Ok(prefix)
}

/// Where a table goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Position {
    /// At its start.
    #[default]
    Start,
    /// At this place of the tree information base, or behind it.
    Tree(usize),
    /// At this group on this link, or behind it.
    Member(PortId, Ipv6Addr),
    /// At this group that the node itself receives, or behind it.
    Reception(Ipv6Addr),
    /// At this route, or behind it.
    Route(Prefix),
}

/// A part of what is to be shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// What of.
    pub topic: Topic,
    /// Of these groups only; `None` is all.
    pub group: Option<Prefix>,
    /// From here on.
    pub from: Position,
    /// So many rows are still wanted; what is beyond them is counted.
    pub rows: usize,
}

impl Part {
    /// The first part of what a query asks for.
    pub fn first(query: Query) -> Self {
        Part { topic: query.topic, group: query.group, from: Position::Start, rows: query.rows() }
    }

    /// Whether this group is asked for.
    pub fn includes(&self, group: Ipv6Addr) -> bool {
        self.group.is_none_or(|range| range.contains(group))
    }
}

/// What a worker has shown.
#[derive(Clone, PartialEq, Debug)]
pub struct Page {
    /// An array of objects with the same keys each, or an object of objects of numbers for counters.
    pub value: Value,
    /// Rows that were counted and not shown.
    pub more: u64,
    /// Where the next part begins; `None` where there is none.
    pub next: Option<Position>,
}

impl Page {
    /// All that there is.
    pub fn whole(value: Value) -> Self {
        Page { value, more: 0, next: None }
    }
}

/// All pages of a query, from the function that has a part shown.
///
/// # Errors
/// Those of the function.
pub fn gather<E>(query: Query, mut show: impl FnMut(Part) -> Result<Page, E>) -> Result<Page, E> {
    let limit = query.rows();
    let (mut rows, mut more) = (Vec::new(), 0);
    let mut part = Part::first(query);
    loop {
        let page = show(part)?;
        more += page.more;
        match page.value {
            Value::Array(shown) => rows.extend(shown),
            whole => return Ok(Page::whole(whole)),
        }
        part.rows = limit.saturating_sub(rows.len());
        match page.next {
            Some(next) => part.from = next,
            None => break,
        }
    }
    // A part may have shown more than was wanted: several rows are about one entry, and small tables are shown whole.
    more += rows.len().saturating_sub(limit) as u64;
    rows.truncate(limit);
    if query.topic.is_of_trees() {
        let address = |row: &Value, key| row[key].as_str().and_then(|text| text.parse::<Ipv6Addr>().ok());
        rows.sort_by_key(|row| (address(row, "source"), address(row, "group")));
    }
    Ok(Page { value: rows.into(), more, next: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ranges_of_groups() {
        assert_eq!(groups("ff15::1"), Ok(Prefix::host("ff15::1".parse().unwrap())));
        assert_eq!(groups("ff15::/16").map(|range| range.to_string()), Ok("ff15::/16".to_owned()));
        for wrong in ["2001:db8::1", "ff15::1/16", "::/0", "f000::/4", "group"] {
            assert!(groups(wrong).is_err_and(|why| why.contains(wrong)), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_by_group_has_none() {
        let query = Query { group: groups("ff15::/16").ok(), ..Topic::Routes.into() };
        assert!(query.refusal().is_some_and(|why| why.contains("routes") && why.contains("pim-tib")));
        assert_eq!(Query { topic: Topic::PimTib, ..query }.refusal(), None);
        let much = Query { limit: Some(Query::MAX_LIMIT + 1), ..Topic::PimTib.into() };
        assert!(much.refusal().is_some_and(|why| why.contains("10000")));
    }

    /// Parts of one to seven rows of a table of a hundred.
    #[test]
    fn parts_make_a_whole() {
        let at = |last| Position::Reception(Ipv6Addr::from_bits(last));
        for (size, limit, shown) in [(1, 10, 10), (7, 10, 10), (7, 0, 0), (7, 100, 100), (100, 1000, 100), (50, 99, 99)]
        {
            let mut asked = 0;
            let page = gather(Query { limit: Some(limit), ..Topic::PimTib.into() }, |part| {
                let from = match part.from {
                    Position::Reception(address) => address.to_bits(),
                    _ => 0,
                };
                asked += 1;
                let (to, wanted) = ((from + size).min(100), part.rows as u128);
                let rows: Vec<Value> = (from..to.min(from + wanted)).map(|number| json!(number as u64)).collect();
                let more = (to - from) as u64 - rows.len() as u64;
                Ok::<_, ()>(Page { value: rows.into(), more, next: (to < 100).then(|| at(to)) })
            });
            let page = page.unwrap();
            assert_eq!(page.value, json!((0..shown).collect::<Vec<u64>>()), "{size} {limit}");
            assert_eq!((page.more, asked), (100 - shown, 100u128.div_ceil(size)), "{size} {limit}");
        }
    }

    #[test]
    fn what_shows_too_much_is_cut() {
        let query = Query { limit: Some(2), ..Topic::Ports.into() };
        let page = gather(query, |_| Ok::<_, ()>(Page::whole(json!([1, 2, 3, 4, 5])))).unwrap();
        assert_eq!((page.value, page.more), (json!([1, 2]), 3));
        let counters = gather(Topic::Counters.into(), |_| Ok::<_, ()>(Page::whole(json!({"a": 1})))).unwrap();
        assert_eq!((counters.value, counters.more), (json!({"a": 1}), 0));
    }
}

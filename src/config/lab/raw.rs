//! A lab file as its text says it, beside the nodes' own tables.

use crate::config::raw::Field;
use serde::Deserialize;
use toml::Spanned;

/// `[lab]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLabGeneral {
    pub(super) name: Field<String>,
    #[expect(dead_code, reason = "read before the tables are, see `base`")]
    pub(super) base: Option<Vec<Spanned<String>>>,
    pub(super) modes: Option<Vec<Spanned<String>>>,
    pub(super) seed: Field<i64>,
    pub(super) settle_ms: Field<i64>,
    pub(super) duration_ms: Field<i64>,
}

/// `[[link]]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLink {
    pub(super) name: Field<String>,
    pub(super) kind: Field<String>,
    pub(super) site: Field<String>,
    pub(super) delay_us: Field<i64>,
    pub(super) jitter_us: Field<i64>,
    pub(super) loss_percent: Field<f64>,
}

/// `[[host]]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHost {
    pub(super) name: Field<String>,
    pub(super) link: Field<String>,
    pub(super) address: Field<String>,
    pub(super) gateway: Field<String>,
}

/// `[[flow]]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFlow {
    pub(super) name: Field<String>,
    pub(super) kind: Field<String>,
    pub(super) from: Field<String>,
    pub(super) to: Field<String>,
    pub(super) rate_pps: Field<i64>,
    pub(super) payload_len: Field<i64>,
    pub(super) rate_kbps: Field<i64>,
}

/// `[[move]]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMove {
    pub(super) terminal: Field<String>,
    pub(super) to: Field<RawPlaces>,
    pub(super) at_ms: Field<i64>,
    pub(super) mode: Field<String>,
    pub(super) break_ms: Field<i64>,
    pub(super) announce_ms: Field<i64>,
    pub(super) every_ms: Field<i64>,
    pub(super) repeat: Field<i64>,
}

/// `to = "a"` or `to = ["b", "a"]`.
#[derive(Deserialize, Debug)]
#[serde(untagged, expecting = "expected the name of a link or a list of names")]
pub(super) enum RawPlaces {
    One(String),
    Several(Vec<String>),
}

/// `[checks]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawChecks {
    pub(super) flows_survive: Field<bool>,
    pub(super) make_before_break_lost_max: Field<i64>,
    pub(super) make_before_break_duplicated_max: Field<i64>,
    pub(super) break_before_make_slack_ms: Field<i64>,
    pub(super) announced_lost_max: Field<i64>,
    pub(super) intra_site_silent: Field<bool>,
    pub(super) bindings_unchanged: Field<bool>,
    pub(super) join_prune_links: Option<Vec<Spanned<String>>>,
    pub(super) border_silent: Field<bool>,
    pub(super) inter_site_lost_max: Field<i64>,
    pub(super) inter_site_duplicated_max: Field<i64>,
    pub(super) inter_site_slack_ms: Field<i64>,
    pub(super) forwarding_ends_ms: Field<i64>,
    pub(super) forwarded_once: Field<bool>,
    pub(super) route_optimised_min_percent: Field<i64>,
}

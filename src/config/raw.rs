//! The configuration of one node as its text says it: optional values with the place where they stand.
//!
//! Unknown keys are refused here; everything else is judged in [`super::resolve`], which can say in one pass all that
//! is wrong. Nothing is required at this stage, so that a missing key is reported beside the other problems.

use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

/// A key that may be absent, with its place in the text.
pub type Field<T> = Option<Spanned<T>>;

/// `[node]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawNode {
    pub name: Field<String>,
    pub workers: Field<i64>,
    pub cpu: Field<RawCpu>,
    pub poll: Field<String>,
    pub seed: Field<i64>,
    pub frames: Field<i64>,
    pub state_dir: Field<String>,
    pub tunnel_dscp: Field<RawTunnelDscp>,
    pub clamp_mss: Field<bool>,
    #[serde(default)]
    pub loopback: Vec<Spanned<String>>,
}

/// `cpu = 1` or a list.
#[derive(Deserialize, Debug)]
#[serde(untagged, expecting = "expected a number or a list of numbers")]
#[allow(missing_docs)]
pub enum RawCpu {
    One(i64),
    Each(Vec<i64>),
}

/// `tunnel_dscp = "inner"`, `"uniform"` or a number.
#[derive(Deserialize, Debug)]
#[serde(untagged, expecting = "expected \"inner\", \"uniform\" or a number")]
#[allow(missing_docs)]
pub enum RawTunnelDscp {
    Word(String),
    Number(i64),
}

/// `[[port]]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawPort {
    pub name: Field<String>,
    pub kind: Field<String>,
    pub interface: Field<String>,
    pub link: Field<String>,
    pub busy_poll_us: Field<i64>,
    #[serde(default)]
    pub addresses: Vec<Spanned<String>>,
    pub mtu: Field<i64>,
    pub link_local: Field<String>,
    pub site_border: Field<bool>,
    pub point_to_point: Field<bool>,
    pub ingress_filter: Field<RawWordOrPrefixes>,
    pub kernel: Field<Vec<Spanned<String>>>,
}

/// `[kernel]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawKernel {
    pub tables: Option<Vec<Spanned<i64>>>,
    pub protocols: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    pub preferences: BTreeMap<String, Spanned<i64>>,
    pub max_routes: Field<i64>,
}

/// `[[route]]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawRoute {
    pub prefix: Field<String>,
    pub via: Field<String>,
    pub port: Field<String>,
    pub blackhole: Field<bool>,
    pub unreachable: Field<bool>,
    pub preference: Field<i64>,
    pub metric: Field<i64>,
}

/// `ingress_filter = "open"`, `spt_switchover = "never"`, or a list of prefixes.
#[derive(Deserialize, Debug)]
#[serde(untagged, expecting = "expected a word or a list of prefixes")]
#[allow(missing_docs)]
pub enum RawWordOrPrefixes {
    Word(String),
    Prefixes(Vec<String>),
}

/// `[admin]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawAdmin {
    pub socket: Field<String>,
}

/// `[metrics]`
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawMetrics {
    pub listen: Field<String>,
}

/// `[router]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawRouter {
    #[serde(default)]
    pub ssm_ranges: Vec<Spanned<String>>,
    pub mobility_range: Field<String>,
    pub join_prune_period_secs: Field<i64>,
    pub register_suppression_secs: Field<i64>,
    pub max_entries: Field<i64>,
    pub max_sources: Field<i64>,
    pub spt_switchover: Field<RawWordOrPrefixes>,
    pub embedded_rp: Field<bool>,
    pub bootstrap: Field<bool>,
    pub unicast_bootstrap: Field<bool>,
    #[serde(default)]
    pub static_rp: Vec<Spanned<RawStaticRp>>,
    pub candidate_bsr: Field<RawCandidateBsr>,
    pub candidate_rp: Field<RawCandidateRp>,
    #[serde(default)]
    pub port: Vec<Spanned<RawPimPort>>,
}

/// `[[router.port]]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawPimPort {
    pub name: Field<String>,
    pub passive: Field<bool>,
    pub dr_priority: Field<i64>,
    pub hello_period_secs: Field<i64>,
    pub hello_at_once: Field<bool>,
    pub propagation_delay_ms: Field<i64>,
    pub override_interval_ms: Field<i64>,
    pub neighbors: Option<Vec<Spanned<String>>>,
    pub joins: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    pub boundary: Vec<Spanned<String>>,
    pub bsr_boundary: Field<bool>,
    pub bsr_scope_boundary: Field<i64>,
}

/// `[[router.static_rp]]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawStaticRp {
    pub address: Field<String>,
    pub groups: Field<Vec<Spanned<String>>>,
    pub r#override: Field<bool>,
}

/// `[router.candidate_bsr]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawCandidateBsr {
    pub address: Field<String>,
    pub port: Field<String>,
    pub priority: Field<i64>,
    pub hash_mask_length: Field<i64>,
    #[serde(default)]
    pub scopes: Vec<Spanned<i64>>,
    #[serde(default)]
    pub candidate_rps: Vec<Spanned<String>>,
}

/// `[router.candidate_rp]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawCandidateRp {
    pub address: Field<String>,
    pub port: Field<String>,
    pub groups: Field<Vec<Spanned<String>>>,
    pub priority: Field<i64>,
    pub interval_secs: Field<i64>,
}

/// `[access_router]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawAccessRouter {
    #[serde(default)]
    pub port: Vec<Spanned<RawAccessPort>>,
    pub hold: Field<RawHold>,
    pub mesh: Field<RawMesh>,
}

/// `[access_router.hold]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawHold {
    pub time_ms: Field<i64>,
    pub packets: Field<i64>,
    pub packets_of_group: Field<i64>,
}

/// `[access_router.mesh]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawMesh {
    pub address: Field<String>,
    pub spi: Field<i64>,
    pub algorithm: Field<String>,
    pub key: Field<String>,
    pub key_file: Field<String>,
    pub pre_join_ms: Field<i64>,
    pub max_pre_joins: Field<i64>,
    pub max_pre_joins_per_peer: Field<i64>,
    #[serde(default)]
    pub peer: Vec<Spanned<RawMeshPeer>>,
}

/// `[[access_router.mesh.peer]]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawMeshPeer {
    pub address: Field<String>,
    #[serde(default)]
    pub prefixes: Vec<Spanned<String>>,
}

/// `[[access_router.port]]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawAccessPort {
    pub name: Field<String>,
    pub unicast_delivery: Field<bool>,
    pub ra: Field<RawAdvertisement>,
    pub mld: Field<RawMld>,
}

/// `ra`, a table of an access router's port or of a home agent.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawAdvertisement {
    pub min_interval_ms: Field<i64>,
    pub max_interval_ms: Field<i64>,
    pub fast_solicited: Field<bool>,
    pub router_lifetime_secs: Field<i64>,
    pub hop_limit: Field<i64>,
    pub link_mtu: Field<i64>,
    pub reachable_time_ms: Field<i64>,
    pub retransmit_timer_ms: Field<i64>,
    pub interval_option: Field<bool>,
    pub home_agent_preference: Field<i64>,
    pub home_agent_lifetime_secs: Field<i64>,
    pub prefix: Option<Vec<Spanned<RawAdvertisedPrefix>>>,
    #[serde(default)]
    pub map: Vec<Spanned<RawMap>>,
}

/// `[[….ra.prefix]]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawAdvertisedPrefix {
    pub prefix: Field<String>,
    pub on_link: Field<bool>,
    pub autonomous: Field<bool>,
    pub router_address: Field<bool>,
    pub valid_lifetime_secs: Field<i64>,
    pub preferred_lifetime_secs: Field<i64>,
}

/// `[[….ra.map]]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawMap {
    pub address: Field<String>,
    pub distance: Field<i64>,
    pub preference: Field<i64>,
    pub lifetime_secs: Field<i64>,
}

/// `mld`, a table of an access router's port.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawMld {
    pub mld_version: Field<i64>,
    pub robustness: Field<i64>,
    pub query_interval_ms: Field<i64>,
    pub query_response_interval_ms: Field<i64>,
    pub last_listener_query_interval_ms: Field<i64>,
    pub last_listener_query_count: Field<i64>,
    pub immediate_leave: Option<Vec<Spanned<String>>>,
    pub mobility_query_interval_ms: Field<i64>,
    pub mobility_query_response_interval_ms: Field<i64>,
    pub mobility_last_listener_query_interval_ms: Field<i64>,
    pub mobility_last_listener_query_count: Field<i64>,
    pub max_groups: Field<i64>,
    pub max_sources: Field<i64>,
    pub max_groups_per_host: Field<i64>,
    pub max_sources_per_host: Field<i64>,
}

/// A key that two nodes share.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawAssociation {
    pub spi: Field<i64>,
    pub algorithm: Field<String>,
    pub key: Field<String>,
    pub key_file: Field<String>,
    pub replay: Field<String>,
}

/// `[[mma.terminal]]`, `[[home_agent.terminal]]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawTerminal {
    pub home_address: Field<String>,
    pub eui64: Field<String>,
    pub denied: Field<bool>,
    pub spi: Field<i64>,
    pub algorithm: Field<String>,
    pub key: Field<String>,
    pub key_file: Field<String>,
    pub replay: Field<String>,
}

/// `group`, a table of a mobility agent or a terminal.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawGroup {
    pub layout: Field<String>,
    pub scope: Field<i64>,
    pub prefix: Field<String>,
    pub rp_interface_id: Field<i64>,
}

/// `[mma]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawMma {
    pub address: Field<String>,
    pub care_of: Field<String>,
    pub care_of_prefix: Field<String>,
    pub care_of_address: Field<String>,
    pub group: Field<RawGroup>,
    pub access_prefixes: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default)]
    pub home_agent: Vec<Spanned<RawHomeAgentRange>>,
    pub gre: Field<RawGre>,
    #[serde(default)]
    pub peers: Vec<Spanned<String>>,
    pub max_forward_secs: Field<i64>,
    pub forward_chain: Field<bool>,
    pub anchor: Field<bool>,
    pub site_key: Field<RawAssociation>,
    pub route_optimisation: Field<String>,
    #[serde(default)]
    pub route_optimisation_with: Vec<Spanned<String>>,
    #[serde(default)]
    pub preconfigured_key: Vec<Spanned<RawPreconfiguredPeer>>,
    pub max_lifetime_secs: Field<i64>,
    pub quarantine_secs: Field<i64>,
    pub max_bindings: Field<i64>,
    #[serde(default)]
    pub terminal: Vec<Spanned<RawTerminal>>,
}

/// `gre` of `[mma]`: a word, or `true` and `false` for `"offered"` and `"off"`.
#[derive(Deserialize, Debug)]
#[serde(untagged, expecting = "expected \"off\", \"offered\" or \"required\"")]
#[allow(missing_docs)]
pub enum RawGre {
    Flag(bool),
    Word(String),
}

/// `[[mma.home_agent]]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawHomeAgentRange {
    pub address: Field<String>,
    pub prefix: Field<String>,
}

/// `[home_agent]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawHomeAgent {
    pub port: Field<String>,
    pub address: Field<String>,
    pub dad: Field<String>,
    pub max_lifetime_secs: Field<i64>,
    pub deregistration_hold_secs: Field<i64>,
    pub former_care_of_ms: Field<i64>,
    pub max_bindings: Field<i64>,
    #[serde(default)]
    pub care_of_prefixes: Vec<Spanned<String>>,
    pub prefix_advertisements: Field<bool>,
    pub ra: Field<RawAdvertisement>,
    #[serde(default)]
    pub terminal: Vec<Spanned<RawTerminal>>,
}

/// `[mobile_terminal]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawMobileTerminal {
    pub home_address: Field<String>,
    pub home_prefix: Field<String>,
    pub home_agent: Field<String>,
    pub eui64: Field<String>,
    pub group: Field<RawGroup>,
    pub tun: Field<String>,
    pub mode: Field<String>,
    pub route_optimisation: Field<String>,
    #[serde(default)]
    pub route_optimisation_with: Vec<Spanned<String>>,
    pub uplink: Field<String>,
    #[serde(default)]
    pub direct_correspondents: Vec<Spanned<String>>,
    pub gre: Field<bool>,
    pub reorder_ms: Field<i64>,
    pub lifetime_secs: Field<i64>,
    pub forward_secs: Field<i64>,
    pub hysteresis_db: Field<i64>,
    pub signal_weight_percent: Field<i64>,
    pub minimum_signal_dbm: Field<i64>,
    pub signal_period_ms: Field<i64>,
    pub minimum_dwell_ms: Field<i64>,
    pub overlap_ms: Field<i64>,
    pub leave_delay_ms: Field<i64>,
    pub report_repeats_ms: Option<Vec<Spanned<i64>>>,
    pub report_moves: Field<bool>,
    pub home_agent_association: Field<RawAssociation>,
    pub mma_association: Field<RawAssociation>,
    #[serde(default)]
    pub radio: Vec<Spanned<RawRadio>>,
}

/// `[[mobile_terminal.radio]]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawRadio {
    pub port: Field<String>,
    pub signal_file: Field<String>,
    pub signal_dbm: Field<i64>,
    pub cost_db: Field<i64>,
}

/// `[correspondent_node]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawCorrespondentNode {
    pub address: Field<String>,
    pub home_address_option: Field<String>,
    pub sites: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    pub home_prefixes: Vec<Spanned<String>>,
    pub max_bindings: Field<i64>,
    pub max_lifetime_secs: Field<i64>,
    pub tun: Field<String>,
    #[serde(default)]
    pub service: Vec<Spanned<RawService>>,
    #[serde(default)]
    pub preconfigured_key: Vec<Spanned<RawPreconfiguredKey>>,
}

/// `[[correspondent_node.service]]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawService {
    pub kind: Field<String>,
    pub transport_port: Field<i64>,
    pub max_connections: Field<i64>,
}

/// `[[correspondent_node.preconfigured_key]]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawPreconfiguredKey {
    pub home_address: Field<String>,
    pub key: Field<String>,
    pub key_file: Field<String>,
    pub home_nonce: Field<String>,
    pub care_of_nonce: Field<String>,
}

/// `[[mma.preconfigured_key]]`
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawPreconfiguredPeer {
    pub home_address: Field<String>,
    pub correspondent: Field<String>,
    pub key: Field<String>,
    pub key_file: Field<String>,
    pub home_nonce: Field<String>,
    pub care_of_nonce: Field<String>,
}

/// A node file.
#[derive(Debug, Default)]
#[allow(missing_docs)]
pub struct RawNodeFile {
    pub node: Field<RawNode>,
    pub port: Vec<Spanned<RawPort>>,
    pub route: Vec<Spanned<RawRoute>>,
    pub kernel: Field<RawKernel>,
    pub admin: Field<RawAdmin>,
    pub metrics: Field<RawMetrics>,
    pub router: Field<RawRouter>,
    pub access_router: Field<RawAccessRouter>,
    pub mma: Field<RawMma>,
    pub home_agent: Field<RawHomeAgent>,
    pub mobile_terminal: Field<RawMobileTerminal>,
    pub correspondent_node: Field<RawCorrespondentNode>,
}

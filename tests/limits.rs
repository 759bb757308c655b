//! The limits of a configuration hold throughout a node.

use drover::config;
use drover::node::DroverNode;
use std::path::Path;

/// What a machine may take into its tables, the data plane must have room for: what it refuses is lost.
#[test]
fn the_data_plane_has_room_for_what_the_machines_may_take() {
    let shipped = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name);
        std::fs::read_to_string(path).unwrap()
    };
    let limits = |text: &str| {
        let config = config::parse("test", text, &Path::new(env!("CARGO_MANIFEST_DIR")).join("configs")).unwrap();
        DroverNode::dataplane_config(&config, 1).limits
    };
    let with = |name: &str, table: &str, key: &str, entries: u32| {
        let text = shipped(name);
        let more = text.replacen(&format!("\n{table}\n"), &format!("\n{table}\n{key} = {entries}\n"), 1);
        assert_ne!(text, more, "{name} has no {table}");
        limits(&more)
    };
    assert_eq!(with("router.toml", "[router]", "max_entries", 4_194_304).mroutes, 4_194_304);
    assert_eq!(with("mma.toml", "[router]", "max_entries", 100_000).mroutes, 100_000);
    assert_eq!(with("mma.toml", "[mma]", "max_bindings", 100_000).mma_bindings, 100_000);
    assert_eq!(with("home-agent.toml", "[home_agent]", "max_bindings", 100_000).home_bindings, 100_000);
    assert!(with("home-agent.toml", "[home_agent]", "max_bindings", 100_000).link_groups >= 100_000);
    let correspondent = with("correspondent-node.toml", "[correspondent_node]", "max_bindings", 65_536);
    assert_eq!(correspondent.correspondent_bindings, 65_536);
    // Fewer than there is room for anyway need no less.
    assert_eq!(with("router.toml", "[router]", "max_entries", 10).mroutes, limits(&shipped("router.toml")).mroutes);
}

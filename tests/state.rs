//! What outlasts a restart: an agent goes on refusing what it has seen, a terminal goes on with numbers that it has not
//! used, and a file that cannot be trusted keeps the node from starting.

use core::net::Ipv6Addr;
use drover::config::parse;
use drover::config::resolved::NodeConfig;
use drover::node::{DroverNode, fixed_clock};
use drover::state::{Changes, Keeper, NodeState, RESERVED, SEQUENCE_MARGIN};
use ha::mobile::Restored;
use mma::auth::{Algorithm, Key, ReplayFloor, SecurityAssociation, Spi};
use mma::secret::SecretRng;
use stack::machine::{CorrespondentWay, Notice, Output, PortId, RxMeta};
use stack::node::Node;
use stack::port::{LinkState, Medium, PortInfo};
use stack::rng::Rng;
use stack::time::Instant;
use stack::wire::build::PacketBuilder;
use stack::wire::ext::Chain;
use stack::wire::ipv6::protocol;
use stack::wire::mobility::option::Subscription;
use stack::wire::mobility::{
    self, BindingUpdate, BindingUpdateFlags, CHECKSUM_AT, Lifetime, MobilityMessage, MobilityOptions, Status,
};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0, 0, 0, 0x55);

/// A directory that is not there yet, and goes at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("state-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn config(name: &str) -> NodeConfig {
    config_with(name, "")
}

/// A shipped configuration with this at its end.
fn config_with(name: &str, more: &str) -> NodeConfig {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name)).unwrap();
    parse(name, &(text + more), Path::new("")).unwrap_or_else(|error| panic!("{error}"))
}

fn start(config: &NodeConfig, state: NodeState) -> DroverNode {
    let infos: Vec<_> = (0..config.ports.len())
        .map(|port| PortInfo {
            name: format!("port{port}"),
            kind: "mem",
            mode: String::new(),
            medium: Medium::Ethernet,
            link_address: stack::addr::MacAddress([2, 0, 0, 0, 0, port as u8]),
            mtu: 1500,
            link: LinkState::Up,
            xdp: None,
        })
        .collect();
    let mut node = DroverNode::resume(config, &infos, 1, SecretRng::simulated(1), fixed_clock(), state).unwrap();
    while node.poll_output().is_some() {}
    node
}

fn floor(sequence: u16, message_id: Option<u64>) -> ReplayFloor {
    ReplayFloor { sequence, message_id }
}

/// The packet of a registration with the agent, or the home agent, of the shipped configurations.
fn update(agent: Ipv6Addr, spi: u32, key: &str, flags: BindingUpdateFlags, sequence: u16) -> Vec<u8> {
    let octets: Vec<u8> = (0..16).map(|n| u8::from_str_radix(&key[2 * n..2 * n + 2], 16).unwrap()).collect();
    let spi = Spi::new(spi).unwrap();
    let association = SecurityAssociation { spi, key: Key::new(&octets).unwrap(), algorithm: Algorithm::default() };
    let care_of = "2001:db8:200:a::55".parse().unwrap();
    let group = "ff35::200:5eff:fe00:55".parse().unwrap();
    let subscriptions = match flags.contains(BindingUpdateFlags::MAP_REGISTRATION) {
        true => vec![Subscription { group, source: Some(agent) }],
        false => Vec::new(),
    };
    let options = MobilityOptions { subscriptions, ..MobilityOptions::default() };
    let flags = BindingUpdateFlags::ACKNOWLEDGE | flags;
    let message =
        association.sign_update(BindingUpdate { sequence, flags, lifetime: Lifetime(8), options }, care_of, HOME);
    PacketBuilder::new(care_of, agent).home_address(HOME).checksummed(protocol::MOBILITY, message, CHECKSUM_AT)
}

/// The messages with a Mobility Header that a node sends, and their packets.
fn messages(node: &mut DroverNode) -> Vec<(MobilityMessage, Vec<u8>)> {
    let packets = std::iter::from_fn(|| node.poll_output()).filter_map(|output| match output {
        Output::Transmit(transmit) => Some(transmit.packet),
        _ => None,
    });
    let message = |packet: Vec<u8>| {
        let chain = Chain::parse(&packet).ok().filter(|chain| chain.upper == protocol::MOBILITY)?;
        Some((mobility::parse(&packet[chain.upper_offset..]).ok()?, packet))
    };
    packets.filter_map(message).collect()
}

/// Status and sequence number of the acknowledgement.
fn give(node: &mut DroverNode, packet: &[u8]) -> (Status, u16) {
    let meta = RxMeta { port: PortId(0), link_source: None, link_multicast: false, tunnel: None };
    node.handle_packet(Instant::from_secs(10), &meta, packet);
    let acknowledgement = messages(node).into_iter().rev().find_map(|(message, _)| match message {
        MobilityMessage::BindingAcknowledgement(acknowledgement) => Some(acknowledgement),
        _ => None,
    });
    acknowledgement.map(|acknowledgement| (acknowledgement.status, acknowledgement.sequence)).expect("one")
}

#[test]
fn an_agent_that_starts_again_refuses_what_it_has_seen() {
    let home_agent = "2001:db8:100:1::1".parse().unwrap();
    let mma = "2001:db8:200::1".parse().unwrap();
    for (file, agent, spi, key, flags) in [
        ("mma.toml", mma, 1002, "93c4e7a10b5d2f68147c9eb03a56d8f2", BindingUpdateFlags::MAP_REGISTRATION),
        ("home-agent.toml", home_agent, 1001, "", BindingUpdateFlags::HOME_REGISTRATION),
    ] {
        let directory = Directory::new(file);
        let config = config(file);
        let key = if key.is_empty() { home_agent_key(&config) } else { key.to_owned() };
        let (mut keeper, state) = Keeper::open(&directory.0, &config).unwrap();
        assert_eq!(state, NodeState::default());
        let mut node = start(&config, state);
        assert!(node.take_changes().is_empty());
        let old = update(agent, spi, &key, flags, 7);
        assert_eq!(give(&mut node, &old), (Status::ACCEPTED, 7), "{file}");
        keeper.keep(&node.take_changes());
        assert!(node.take_changes().is_empty(), "nothing twice");
        // The power goes away: this one is not written down.
        let last = update(agent, spi, &key, flags, 8);
        assert_eq!(give(&mut node, &last).0, Status::ACCEPTED);
        drop((node, keeper));

        let (_keeper, state) = Keeper::open(&directory.0, &config).unwrap();
        let on_from = 7 + SEQUENCE_MARGIN;
        // Each to a node of its own: what is not fresh is answered now and then.
        for packet in [&old, &last] {
            let mut node = start(&config, state.clone());
            assert_eq!(give(&mut node, packet), (Status::SEQUENCE_OUT_OF_WINDOW, on_from), "{file}");
        }
        let mut node = start(&config, state);
        // The terminal goes on from there.
        let next = update(agent, spi, &key, flags, on_from + 1);
        assert_eq!(give(&mut node, &next), (Status::ACCEPTED, on_from + 1), "{file}");
    }
}

fn home_agent_key(config: &NodeConfig) -> String {
    let terminal = &config.home_agent.as_ref().unwrap().terminals[0];
    assert_eq!((terminal.home_address, terminal.association.spi), (HOME, 1001));
    terminal.association.key.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[test]
fn a_terminal_that_starts_again_goes_on_above() {
    let config = config("mobile-terminal.toml");
    let peers: [Ipv6Addr; 2] = ["2001:db8:1::1".parse().unwrap(), "2001:db8:2::1".parse().unwrap()];
    for seed in 0..6 {
        let directory = Directory::new(&format!("terminal-{seed}"));
        let mut rng = Rng::new(seed);
        let mut used = [None; 2];
        let (mut keeper, mut state) = Keeper::open(&directory.0, &config).unwrap();
        for _ in 0..80 {
            // A second: up to three updates to each peer (RFC 6275 §11.8), then what was used is kept.
            for used in &mut used {
                for _ in 0..rng.below(4) {
                    *used = Some(used.unwrap_or(65_500_u16).wrapping_add(1));
                }
            }
            let sequences = || peers.iter().zip(&used).filter_map(|(&peer, used)| Some((peer, (*used)?)));
            let terminal = Restored {
                sequences: sequences().collect(),
                message_id: None,
                has_home_binding: true,
                home_agent: None,
            };
            if rng.below(10) > 0 {
                keeper.keep(&Changes { terminal: Some(terminal), ..Changes::default() });
                continue;
            }
            // It breaks off before that.
            let known: Vec<_> = state.terminal.sequences.iter().map(|&(peer, _)| peer).collect();
            drop(keeper);
            (keeper, state) = Keeper::open(&directory.0, &config).unwrap();
            for (peer, last) in sequences() {
                // A peer that was never written down is one of this second: the agent says 135, if it must.
                let Some(&(_, restored)) = state.terminal.sequences.iter().find(|(known, _)| *known == peer) else {
                    assert!(!known.contains(&peer), "what was kept is not lost");
                    continue;
                };
                let ahead = restored.wrapping_sub(last);
                assert!(ahead <= 2 * RESERVED, "seed {seed}: {last} was used, {restored} is where it goes on");
            }
            used = peers
                .map(|peer| state.terminal.sequences.iter().find(|(known, _)| *known == peer).map(|&(_, last)| last));
        }
    }
}

/// The correspondent of the shipped configuration, and the key that it shares with the terminal, as an agent has it.
const PEER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0x10);
const SHARED: &str = "
[[mma.preconfigured_key]]
home_address = \"2001:db8:100:1::55\"
correspondent = \"2001:db8:0:1::10\"
key = \"00112233445566778899aabbccddeeff00112233\"
home_nonce = \"6a1f0c52d98e4b77\"
care_of_nonce = \"30f1c26e5d84a90b\"
";

/// RFC 4449 §4: an agent that starts again goes on with numbers that it has not used, so that the correspondent takes its
/// first update.
#[test]
fn an_agent_that_starts_again_has_numbers_left_for_its_preconfigured_keys() {
    let directory = Directory::new("keys");
    let agent: Ipv6Addr = "2001:db8:200::1".parse().unwrap();
    let config = config_with("mma.toml", SHARED);
    let mut correspondent = start(&self::config("correspondent-node.toml"), NodeState::default());
    let mut used: Vec<u16> = Vec::new();
    for run in 0..4_u16 {
        let (mut keeper, state) = Keeper::open(&directory.0, &config).unwrap();
        let mut node = start(&config, state);
        let registration = update(
            agent,
            1002,
            "93c4e7a10b5d2f68147c9eb03a56d8f2",
            BindingUpdateFlags::MAP_REGISTRATION,
            100 * run + 100,
        );
        assert_eq!(give(&mut node, &registration).0, Status::ACCEPTED);
        let seen = Notice::Correspondent { home_address: HOME, correspondent: PEER, way: CorrespondentWay::HomeAgent };
        node.handle_notice(Instant::from_secs(10), seen);
        let sent = messages(&mut node);
        let [(MobilityMessage::BindingUpdate(told), packet)] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(give(&mut correspondent, packet), (Status::ACCEPTED, told.sequence), "run {run}");
        assert!(used.iter().all(|&used| told.sequence > used), "{} after {used:?}", told.sequence);
        used.push(told.sequence);
        // Every second time the power goes away before that is written down.
        if run % 2 == 1 {
            let changes = node.take_changes();
            assert_eq!(changes.mma_keys, [((HOME, PEER), told.sequence)]);
            keeper.keep(&changes);
            assert!(node.take_changes().mma_keys.is_empty(), "nothing twice");
        }
    }
    assert_eq!(used[0], 1);
}

/// No number of a key is used twice, whenever the agent breaks off, and the file stays small. What a correspondent said
/// (status 135) may take it far on.
#[test]
fn numbers_of_preconfigured_keys_are_used_once() {
    let config = config_with("mma.toml", SHARED);
    for seed in 0..6 {
        let directory = Directory::new(&format!("keys-{seed}"));
        let mut rng = Rng::new(seed);
        let mut used = std::collections::BTreeSet::new();
        let (mut keeper, mut last) = (None, 0_u16);
        for _ in 0..200 {
            if keeper.is_none() || rng.below(10) == 0 {
                // It breaks off, and what it did in this second is not written down.
                drop(keeper.take());
                let (opened, state) = Keeper::open(&directory.0, &config).unwrap();
                keeper = Some(opened);
                last = state.mma_keys.first().map_or(0, |&(pair, last)| {
                    assert_eq!(pair, (HOME, PEER));
                    last
                });
            }
            // Up to three updates (RFC 6275 §11.8), the first of a run in the same second as its start.
            for _ in 0..rng.below(4) {
                last += 1;
                assert!(used.insert(last), "seed {seed}: {last} is used twice");
            }
            if let Some(keeper) = keeper.as_mut().filter(|_| rng.below(4) > 0) {
                keeper.keep(&Changes { mma_keys: vec![((HOME, PEER), last)], ..Changes::default() });
                if rng.below(20) == 0 {
                    last += 1_000;
                    used.insert(last);
                    keeper.keep(&Changes { mma_keys: vec![((HOME, PEER), last)], ..Changes::default() });
                }
            }
        }
        assert!(last < 40_000, "{last}");
        drop(keeper);
        // A key that is no longer configured leaves nothing behind.
        let without = self::config("mma.toml");
        drop(Keeper::open(&directory.0, &without).unwrap());
        let text = std::fs::read_to_string(directory.0.join("mma.state")).unwrap();
        assert!(text.lines().last().unwrap().contains("no-key-sequence"), "{text}");
        assert_eq!(Keeper::open(&directory.0, &config).unwrap().1.mma_keys, []);
    }
}

#[test]
fn terminals_keep_their_timestamps_and_whether_home_has_a_binding() {
    let directory = Directory::new("terminal-facts");
    let config = config("mobile-terminal.toml");
    let peer = "2001:db8:1::1".parse().unwrap();
    for (message_id, has_home_binding) in [(1_u64 << 40, true), (2 << 40, false)] {
        let (mut keeper, _) = Keeper::open(&directory.0, &config).unwrap();
        let home_agent = has_home_binding.then_some(peer);
        let terminal =
            Restored { sequences: vec![(peer, 5)], message_id: Some(message_id), has_home_binding, home_agent };
        keeper.keep(&Changes { terminal: Some(terminal), ..Changes::default() });
        drop(keeper);
        let (_, state) = Keeper::open(&directory.0, &config).unwrap();
        assert_eq!((state.terminal.has_home_binding, state.terminal.home_agent), (has_home_binding, home_agent));
        assert!(state.terminal.message_id.unwrap() > message_id);
        assert_eq!(state.terminal.sequences, [(peer, 5 + RESERVED)]);
    }
    // A peer that the terminal has forgotten is not kept for ever.
    let (mut keeper, _) = Keeper::open(&directory.0, &config).unwrap();
    keeper.keep(&Changes { terminal: Some(Restored::default()), ..Changes::default() });
    drop(keeper);
    assert!(Keeper::open(&directory.0, &config).unwrap().1.terminal.sequences.is_empty());
}

#[test]
fn floors_are_kept_for_each_home_address_and_forgotten_when_the_agent_does() {
    let directory = Directory::new("floors");
    let config = config("mma.toml");
    let home = |n: u16| Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0, 0, 1, n);
    let (mut keeper, _) = Keeper::open(&directory.0, &config).unwrap();
    // Enough of them that the file is written anew in between.
    for round in 0..60_u16 {
        let mma = (0..100).map(|n| (home(n), Some(floor(round, Some(1 << 40))))).collect();
        keeper.keep(&Changes { mma, ..Changes::default() });
    }
    let gone = (50..100).map(|n| (home(n), None)).collect();
    keeper.keep(&Changes { mma: gone, ..Changes::default() });
    drop(keeper);
    let file = directory.0.join("mma.state");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.lines().count() < 60 * 100, "out-of-date lines do not pile up");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(&directory.0).unwrap().permissions().mode() & 0o777, 0o700);
    let (_, state) = Keeper::open(&directory.0, &config).unwrap();
    let expected = floor(59 + SEQUENCE_MARGIN, Some((1 << 40) + (1 << 32)));
    assert_eq!(state.mma, (0..50).map(|n| (home(n), expected)).collect::<Vec<_>>());
    assert!(state.home_agent.is_empty());
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 51);
}

#[test]
fn a_file_that_cannot_be_trusted_gets_one_line() {
    let directory = Directory::new("damaged");
    let config = config("mma.toml");
    let file = directory.0.join("mma.state");
    let written = {
        let (mut keeper, _) = Keeper::open(&directory.0, &config).unwrap();
        let mma = (0..3).map(|n| (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n), Some(floor(n, None)))).collect();
        keeper.keep(&Changes { mma, ..Changes::default() });
        let busy = Keeper::open(&directory.0, &config).unwrap_err().to_string();
        assert!(busy.contains("another process keeps its state here; stop it"), "{busy}");
        std::fs::read_to_string(&file).unwrap()
    };
    let said = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let error = Keeper::open(&directory.0, &config).unwrap_err().to_string();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "it is left as it is");
        assert!(error.contains("mma.state") && error.contains("move"), "{error}");
        assert_eq!(error.lines().count(), 1);
        error
    };
    assert!(said("").contains("this is no state that this version knows"));
    assert!(said("drover-state 1 mma mma1\n").contains("this is no state that this version knows"));
    assert!(said(&written.replacen("2001:db8::1", "2001:db8::9", 1)).contains("mma.state:3: this line is damaged"));
    let mut other = config.clone();
    other.name = "mma2".into();
    std::fs::write(&file, &written).unwrap();
    let error = Keeper::open(&directory.0, &other).unwrap_err().to_string();
    assert!(error.contains("state of another node (`drover-state 1 mma mma1`)"), "{error}");
    // What no node has written is not shown, whatever its checksum says.
    for name in ["\u{1b}[2J", "two words", &"x".repeat(10_000), ""] {
        let words = format!("drover-state 1 mma {name}");
        let sum = words.bytes().fold(0x811c_9dc5_u32, |sum, octet| (sum ^ u32::from(octet)).wrapping_mul(0x0100_0193));
        assert!(said(&format!("{words} *{sum:08x}\n")).contains("this is no state that this version knows"));
    }
    // Every cut of a good file is a power cut: what was whole before is there.
    let header = written.find('\n').unwrap() + 1;
    for cut in header..written.len() {
        std::fs::write(&file, &written[..cut]).unwrap();
        let whole = written[..cut].matches('\n').count() - 1;
        let (keeper, state) = Keeper::open(&directory.0, &config).unwrap();
        assert_eq!(state.mma.len(), whole, "cut at {cut}");
        drop(keeper);
    }
    // Moved away: the node starts without it.
    std::fs::remove_file(&file).unwrap();
    assert_eq!(Keeper::open(&directory.0, &config).unwrap().1, NodeState::default());
}

#[test]
fn a_disk_that_takes_nothing_is_tried_again() {
    let directory = Directory::new("full");
    let config = config("mma.toml");
    let file = directory.0.join("mma.state");
    let (mut keeper, _) = Keeper::open(&directory.0, &config).unwrap();
    let change = |n| Changes { mma: vec![(HOME, Some(floor(n, None)))], ..Changes::default() };
    keeper.keep(&change(1));
    // The directory is gone for a while: appending goes on in the old file, writing anew cannot.
    let away = directory.0.with_extension("away");
    std::fs::rename(&directory.0, &away).unwrap();
    for n in 2..1_100 {
        keeper.keep(&change(n));
    }
    std::fs::rename(&away, &directory.0).unwrap();
    keeper.keep(&Changes::default());
    drop(keeper);
    assert!(file.exists());
    let (_, state) = Keeper::open(&directory.0, &config).unwrap();
    assert_eq!(state.mma, [(HOME, floor(1_099 + SEQUENCE_MARGIN, None))]);
}

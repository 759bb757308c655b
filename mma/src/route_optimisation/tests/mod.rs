mod exchange;
mod hostile;
mod model;
mod preconfigured;

use super::*;
use crate::return_routability::{BindingManagementKey, KeygenToken, NodeKey};
use stack::addr::Prefix;
use stack::wire::ext::Chain;
use stack::wire::ipv6::{self, protocol};
use stack::wire::mobility::option::NonceIndices;
use stack::wire::mobility::{
    self, BindingAcknowledgement, BindingAcknowledgementFlags, BindingErrorStatus, BindingUpdate, BindingUpdateFlags,
    CHECKSUM_AT, MobilityMessage, MobilityOptions, Status, TestAnswer,
};

const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10);
const OTHER_HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x11);
const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x10);
const SECOND: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, 0x10);
const THIRD: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 4, 0, 0, 0, 0, 0x10);
const PEER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0xc);
const OTHER_PEER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0xd);

const HOME_INDEX: u16 = 7;
const CARE_OF_INDEX: u16 = 9;

/// A Binding Update as the correspondent reads it.
#[derive(Clone, Debug)]
struct Seen {
    source: Ipv6Addr,
    home_address: Ipv6Addr,
    update: BindingUpdate,
}

/// An initiator, and the computations of a correspondent that is always right.
struct Bench {
    now: Instant,
    optimiser: Optimiser,
    node_key: NodeKey,
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

impl Bench {
    /// Away from home, registered for half an hour.
    fn new(config: Config) -> Self {
        let mut secrets = SecretRng::simulated(1);
        let node_key = NodeKey::generate(&mut secrets);
        let mut bench = Bench { now: Instant::from_secs(100), optimiser: Optimiser::new(config, secrets), node_key };
        bench.move_to(CARE_OF);
        bench
    }

    fn away() -> Self {
        Self::new(Config::default())
    }

    /// With a binding at [`PEER`].
    fn bound() -> Self {
        let mut bench = Self::away();
        bench.see(CorrespondentWay::HomeAgent);
        bench.answer_all();
        assert_eq!(bench.state(), "optimised");
        bench
    }

    fn move_to(&mut self, care_of: Ipv6Addr) {
        self.optimiser.set_care_of(self.now, HOME, care_of, self.now + secs(1800));
    }

    fn see(&mut self, way: CorrespondentWay) {
        self.optimiser.handle_correspondent(self.now, HOME, PEER, way);
    }

    fn actions(&mut self) -> Vec<Action> {
        core::iter::from_fn(|| self.optimiser.poll_action()).collect()
    }

    /// Lets `duration` pass, every timer at its time.
    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.optimiser.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.optimiser.handle_timeout(self.now);
        }
        self.now = end;
    }

    fn state(&self) -> &'static str {
        let view = self.optimiser.views().find(|view| (view.home_address, view.correspondent) == (Some(HOME), PEER));
        view.map_or("none", |view| view.state)
    }

    fn home_token(&self, home_address: Ipv6Addr) -> KeygenToken {
        self.node_key.home_token(home_address, b"home")
    }

    fn care_of_token(&self, care_of: Ipv6Addr) -> KeygenToken {
        self.node_key.care_of_token(care_of, b"care")
    }

    fn key(&self, home_address: Ipv6Addr, care_of: Ipv6Addr) -> BindingManagementKey {
        BindingManagementKey::new(self.home_token(home_address), self.care_of_token(care_of))
    }

    fn home_test(&self, home_address: Ipv6Addr, cookie: [u8; 8]) -> Vec<u8> {
        let token = self.home_token(home_address).0;
        MobilityMessage::HomeTest(TestAnswer { nonce_index: HOME_INDEX, cookie, token }).emit()
    }

    fn care_of_test(&self, care_of: Ipv6Addr, cookie: [u8; 8]) -> Vec<u8> {
        let token = self.care_of_token(care_of).0;
        MobilityMessage::CareOfTest(TestAnswer { nonce_index: CARE_OF_INDEX, cookie, token }).emit()
    }

    fn give(&mut self, source: Ipv6Addr, destination: Ipv6Addr, path: Path, message: &[u8]) -> Claim {
        let arrival = Arrival { source, destination, home_address: None, path };
        self.optimiser.handle_message(self.now, &arrival, message)
    }

    /// Gives an acknowledgement to `destination`, with a type 2 routing header where that is a care-of address.
    fn give_acknowledgement(&mut self, destination: Ipv6Addr, message: &[u8]) -> Claim {
        let home_address = (destination != HOME).then_some(HOME);
        let arrival = Arrival { source: PEER, destination, home_address, path: Path::Direct };
        self.optimiser.handle_message(self.now, &arrival, message)
    }

    /// An acknowledgement of an update, signed with this key.
    fn acknowledgement(seen: &Seen, key: &BindingManagementKey, status: Status, sequence: u16) -> Vec<u8> {
        let acknowledgement = BindingAcknowledgement {
            status,
            flags: BindingAcknowledgementFlags::default(),
            sequence,
            lifetime: seen.update.lifetime,
            options: MobilityOptions::default(),
        };
        let care_of = if seen.update.lifetime.is_zero() { seen.home_address } else { seen.source };
        if matches!(status.0, 136..=138) {
            return MobilityMessage::from(acknowledgement).emit();
        }
        key.sign_acknowledgement(acknowledgement, care_of, PEER)
    }

    /// The key of an update as the correspondent computes it.
    fn key_of(&self, seen: &Seen) -> BindingManagementKey {
        if seen.update.lifetime.is_zero() {
            BindingManagementKey::for_deletion(self.home_token(seen.home_address))
        } else {
            self.key(seen.home_address, seen.source)
        }
    }

    /// Answers this action with this status; returns the update, where it was one.
    fn answer(&mut self, action: &Action, status: Status) -> Option<Seen> {
        match *action {
            Action::SendHomeTestInit { home_address, correspondent, cookie } => {
                let message = self.home_test(home_address, cookie);
                let at_home = self.optimiser.care_of(home_address).is_none();
                let path = if at_home { Path::Direct } else { Path::HomeAgent };
                assert_eq!(self.give(correspondent, home_address, path, &message), Claim::Ours);
                None
            }
            Action::SendCareOfTestInit { care_of, correspondent, cookie } => {
                let message = self.care_of_test(care_of, cookie);
                assert_eq!(self.give(correspondent, care_of, Path::Direct, &message), Claim::Ours);
                None
            }
            Action::SendUpdate { .. } => {
                let seen = seen(action);
                let key = self.key_of(&seen);
                let message = Self::acknowledgement(&seen, &key, status, seen.update.sequence);
                assert_eq!(self.give_acknowledgement(seen.source, &message), Claim::Ours);
                Some(seen)
            }
            Action::Optimised { .. } | Action::KeepSequence { .. } => None,
        }
    }

    /// Answers everything until nothing is asked any more; returns all there was to do.
    fn answer_all(&mut self) -> Vec<Action> {
        let mut all = Vec::new();
        loop {
            let actions = self.actions();
            if actions.is_empty() {
                return all;
            }
            for action in &actions {
                self.answer(action, Status::ACCEPTED);
            }
            all.extend(actions);
        }
    }

    /// Answers tests only; returns the Binding Update that follows.
    fn answer_tests(&mut self) -> Seen {
        loop {
            let actions = self.actions();
            assert!(!actions.is_empty(), "no Binding Update");
            for action in &actions {
                if matches!(action, Action::SendUpdate { .. }) {
                    return seen(action);
                }
                self.answer(action, Status::ACCEPTED);
            }
        }
    }
}

/// Reads the packet of a Binding Update.
fn seen(action: &Action) -> Seen {
    let packet = action.packet().unwrap();
    let (header, chain) = (ipv6::Header::parse(&packet).unwrap(), Chain::parse(&packet).unwrap());
    let home_address = chain.home_address.map_or(header.source, |option| option.home_address);
    let message = &packet[chain.upper_offset..];
    assert!(mobility::verify_checksum(home_address, header.destination, message));
    let MobilityMessage::BindingUpdate(update) = mobility::parse(message).unwrap() else { panic!("no Binding Update") };
    Seen { source: header.source, home_address, update }
}

/// The actions in short.
fn kinds(actions: &[Action]) -> String {
    let words = actions.iter().map(|action| match action {
        Action::SendHomeTestInit { .. } => "HoTI",
        Action::SendCareOfTestInit { .. } => "CoTI",
        Action::SendUpdate { .. } => "BU",
        Action::Optimised { state: Optimisation::On { .. }, .. } => "on",
        Action::Optimised { state: Optimisation::Off, .. } => "off",
        Action::KeepSequence { .. } => "keep",
    });
    words.collect::<Vec<_>>().join(" ")
}

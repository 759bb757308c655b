//! An initiator against a model of a correspondent, over a network that loses, delays and repeats: whatever happens,
//! the two agree when it is quiet.

use super::*;
use proptest::prelude::*;
use stack::machine::CorrespondentWay::{HomeAgent, Optimised};

#[derive(Clone, Debug)]
enum Step {
    /// Time passes.
    Pass(u64),
    /// A packet of the correspondent: by the home agent, or as its binding says.
    Packet,
    /// The terminal is somewhere else.
    Move(usize),
    Home,
    /// The correspondent forgets its nonces, its bindings, or both.
    Forget {
        nonces: bool,
        bindings: bool,
    },
    /// Messages get lost, or do not.
    Lossy(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..2_000u64).prop_map(Step::Pass),
        2 => (2_000..300_000u64).prop_map(Step::Pass),
        4 => Just(Step::Packet),
        2 => (0..3usize).prop_map(Step::Move),
        1 => Just(Step::Home),
        1 => any::<(bool, bool)>().prop_map(|(nonces, bindings)| Step::Forget { nonces, bindings }),
        2 => any::<bool>().prop_map(Step::Lossy),
    ]
}

/// RFC 6275 §9.4 and §9.5, as little of it as the initiator can tell.
struct Model {
    node_key: NodeKey,
    nonce: u16,
    binding: Option<(Ipv6Addr, Instant)>,
    sequence: Option<u16>,
}

impl Model {
    fn token(&self, address: Ipv6Addr, home: bool) -> KeygenToken {
        let nonce = self.nonce.to_be_bytes();
        if home { self.node_key.home_token(address, &nonce) } else { self.node_key.care_of_token(address, &nonce) }
    }

    fn update(&mut self, now: Instant, seen: &Seen, message: &[u8]) -> Option<Vec<u8>> {
        let deletes = seen.update.lifetime.is_zero();
        let nonces = seen.update.options.nonce_indices.unwrap();
        let (home, care_of) = (nonces.home == self.nonce, deletes || nonces.care_of == self.nonce);
        let status = match (home, care_of) {
            (true, true) => Status::ACCEPTED,
            (false, true) => Status::EXPIRED_HOME_NONCE,
            (true, false) => Status::EXPIRED_CARE_OF_NONCE,
            (false, false) => Status::EXPIRED_NONCES,
        };
        let home_token = self.token(HOME, true);
        let (key, signed_for) = if deletes {
            (BindingManagementKey::for_deletion(home_token), HOME)
        } else {
            (BindingManagementKey::new(home_token, self.token(seen.source, false)), seen.source)
        };
        if status != Status::ACCEPTED {
            return Some(Bench::acknowledgement(seen, &key, status, seen.update.sequence));
        }
        if !key.verify(message, signed_for, PEER) {
            return None;
        }
        if let Some(last) = self.sequence
            && !(1..0x8000).contains(&seen.update.sequence.wrapping_sub(last))
        {
            return Some(Bench::acknowledgement(seen, &key, Status::SEQUENCE_OUT_OF_WINDOW, last));
        }
        self.sequence = Some(seen.update.sequence);
        self.binding = (!deletes).then(|| (seen.source, now + seen.update.lifetime.duration()));
        Some(Bench::acknowledgement(seen, &key, Status::ACCEPTED, seen.update.sequence))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn agrees_with_the_correspondent_when_it_is_quiet(steps in prop::collection::vec(step(), 1..40), seed: u64) {
        let mut chance = stack::rng::Rng::new(seed);
        let mut bench = Bench::away();
        bench.optimiser.set_care_of(bench.now, HOME, CARE_OF, bench.now + secs(1_000_000));
        let node_key = NodeKey::generate(&mut SecretRng::simulated(seed));
        let mut model = Model { node_key, nonce: 1, binding: None, sequence: None };
        let mut place = Some(CARE_OF);
        let mut lossy = false;
        let mut told = None;
        let mut cookies = BTreeSet::new();
        // What each side has sent, due at its time.
        let mut wire: BTreeMap<(Instant, u64), Action> = BTreeMap::new();
        let mut number = 0;

        let mut settle = |bench: &mut Bench, model: &mut Model, told: &mut Option<Ipv6Addr>, lossy: bool, until| loop {
            while let Some(action) = bench.optimiser.poll_action() {
                if let Action::Optimised { state, .. } = action {
                    match state {
                        Optimisation::On { care_of } => assert_eq!(told.replace(care_of), None, "on twice"),
                        Optimisation::Off => assert!(told.take().is_some(), "off twice"),
                    }
                    continue;
                }
                let (Action::SendHomeTestInit { cookie, .. } | Action::SendCareOfTestInit { cookie, .. }) = action
                else {
                    if !lossy || chance.below(2) == 0 {
                        number += 1;
                        wire.insert((bench.now + Duration::from_millis(chance.below(100)), number), action);
                    }
                    continue;
                };
                assert!(cookies.insert(cookie), "a cookie twice");
                for _ in 0..if lossy { chance.below(3) } else { 1 } {
                    number += 1;
                    wire.insert((bench.now + Duration::from_millis(chance.below(100)), number), action.clone());
                }
            }
            let timeout = bench.optimiser.poll_timeout();
            let arrives = wire.first_key_value().map(|(&(at, _), _)| at);
            let Some(next) = timeout.into_iter().chain(arrives).min().filter(|&next| next <= until) else {
                bench.now = until;
                return;
            };
            bench.now = bench.now.max(next);
            if arrives.is_none_or(|at| at > next) {
                bench.optimiser.handle_timeout(bench.now);
                continue;
            }
            let (_, action) = wire.pop_first().unwrap();
            match action {
                Action::SendHomeTestInit { cookie, .. } => {
                    let answer = TestAnswer { nonce_index: model.nonce, cookie, token: model.token(HOME, true).0 };
                    let message = MobilityMessage::HomeTest(answer).emit();
                    let path = if bench.optimiser.care_of(HOME).is_some() { Path::HomeAgent } else { Path::Direct };
                    let _ = bench.give(PEER, HOME, path, &message);
                }
                Action::SendCareOfTestInit { care_of, cookie, .. } => {
                    let token = model.token(care_of, false).0;
                    let message = MobilityMessage::CareOfTest(TestAnswer { nonce_index: model.nonce, cookie, token });
                    let _ = bench.give(PEER, care_of, Path::Direct, &message.emit());
                }
                Action::SendUpdate { ref message, .. } => {
                    let seen = seen(&action);
                    if let Some(answer) = model.update(bench.now, &seen, message) {
                        let _ = bench.give_acknowledgement(seen.source, &answer);
                    }
                }
                _ => unreachable!(),
            }
        };

        for step in steps {
            let mut until = bench.now;
            match step {
                Step::Pass(millis) => until += Duration::from_millis(millis),
                Step::Packet => {
                    let bound = model.binding.filter(|&(_, expires_at)| bench.now < expires_at);
                    match bound {
                        Some((care_of, _)) if Some(care_of) == place => bench.see(Optimised),
                        Some(_) => {}
                        None if place.is_some() => bench.see(HomeAgent),
                        None => {}
                    }
                }
                Step::Move(to) => {
                    let care_of = [CARE_OF, SECOND, THIRD][to];
                    place = Some(care_of);
                    bench.optimiser.set_care_of(bench.now, HOME, care_of, bench.now + secs(1_000_000));
                }
                Step::Home => {
                    place = None;
                    bench.optimiser.return_home(bench.now, HOME);
                }
                Step::Forget { nonces, bindings } => {
                    model.nonce = model.nonce.wrapping_add(u16::from(nonces));
                    if bindings {
                        (model.binding, model.sequence) = (None, None);
                    }
                }
                Step::Lossy(now) => lossy = now,
            }
            settle(&mut bench, &mut model, &mut told, lossy, until);
            // Only the present care-of address is ever taken for optimised.
            prop_assert!(told.is_none() || told == place);
        }
        // Quiet, with packets that go by themselves and failures forgotten: terminal and correspondent agree.
        let now = bench.now;
        settle(&mut bench, &mut model, &mut told, false, now + secs(2000));
        prop_assert_eq!(told, None, "nothing comes, so all has lapsed");
        prop_assert_eq!(bench.optimiser.registrations.len(), 0);
        if place.is_some() {
            bench.see(HomeAgent);
            let now = bench.now;
            settle(&mut bench, &mut model, &mut told, false, now + secs(5));
            prop_assert_eq!(told, place);
            prop_assert_eq!(model.binding.map(|(care_of, _)| care_of), place);
        }
    }
}

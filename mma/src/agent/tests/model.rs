//! Random operations beside a reference model.

use super::*;

const MAX_FORWARD: Duration = Duration::from_secs(100);

fn peers() -> [Prefix; 2] {
    ["2001:db8:d:c0a::/64".parse().unwrap(), "2001:db8:e:c0a::/64".parse().unwrap()]
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Bound {
    group: Ipv6Addr,
    end: Instant,
    /// Where to, and until when at the latest.
    forward: Option<(Ipv6Addr, Instant)>,
}

/// What a reference model, a few lines long, says of one update.
#[derive(Default)]
struct Model {
    bound: BTreeMap<Ipv6Addr, Bound>,
    floors: BTreeMap<Ipv6Addr, u16>,
}

impl Model {
    fn expect(&mut self, now: Instant, terminal: &Terminal, update: &BindingUpdate, limit: usize) -> Status {
        let home_address = terminal.home_address;
        self.expire(now);
        if let Some(&last) = self.floors.get(&home_address)
            && !(1..0x8000).contains(&update.sequence.wrapping_sub(last))
        {
            return Status::SEQUENCE_OUT_OF_WINDOW;
        }
        self.floors.insert(home_address, update.sequence);
        if update.lifetime.is_zero() {
            self.bound.remove(&home_address);
            return Status::ACCEPTED;
        }
        if let Some(to) = update.options.alternate_care_of_address {
            return self.forward(now, home_address, to, update.lifetime.duration());
        }
        if terminal.access_address.segments()[3] > 0xa02 {
            return Status::ADMINISTRATIVELY_PROHIBITED;
        }
        let group = update.options.subscriptions[0].group;
        let holds = |bound: &Bound| bound.forward.is_none() && bound.group == group;
        if self.bound.iter().any(|(home, bound)| holds(bound) && *home != home_address) {
            return Status::DUPLICATE_ADDRESS;
        }
        if !self.bound.contains_key(&home_address) && self.bound.len() >= limit {
            return Status::INSUFFICIENT_RESOURCES;
        }
        let end = now + update.lifetime.duration();
        self.bound.insert(home_address, Bound { group, end, forward: None });
        Status::ACCEPTED
    }

    fn expire(&mut self, now: Instant) {
        self.bound.retain(|_, bound| bound.end > now);
    }

    fn forward(&mut self, now: Instant, home_address: Ipv6Addr, to: Ipv6Addr, lifetime: Duration) -> Status {
        let Some(bound) = self.bound.get_mut(&home_address) else { return Status::NOT_HOME_AGENT };
        if !peers().iter().any(|peer| peer.contains(to)) {
            return Status::ADMINISTRATIVELY_PROHIBITED;
        }
        let until = bound.forward.map_or(now + MAX_FORWARD, |(_, until)| until);
        bound.forward = Some((to, until));
        bound.end = until.min(now + lifetime);
        Status::ACCEPTED
    }
}

#[test]
fn agrees_with_a_reference_model_under_random_operations() {
    const LIMIT: usize = 6;
    const UNIT: Duration = Duration::from_secs(Lifetime::UNIT_SECS);
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let mut config = config();
        config.max_bindings = LIMIT;
        config.max_quarantined = 3;
        config.max_lifetime = Duration::from_secs(400);
        config.max_forward = MAX_FORWARD;
        config.peers = peers().to_vec();
        config.care_of = match seed % 3 {
            0 => CareOfMode::Assigned { prefix: "2001:db8:f:c0a::/112".parse().unwrap() },
            1 => CareOfMode::Assigned { prefix: care_of_prefix() },
            _ => CareOfMode::Shared { address: home(0xff) },
        };
        let mut bench = Bench::new(config);
        let mut model = Model::default();
        let mut terminals: Vec<_> = (0..10).map(Terminal::new).collect();
        let mut past: Vec<(Terminal, BindingUpdate)> = Vec::new();
        for _ in 0..400 {
            // What is not fresh is answered now and then; and what is granted counts in units.
            bench.pass(UNIT);
            model.expire(bench.now);
            let terminal = &mut terminals[rng.below(10) as usize];
            let (terminal, update) = match rng.below(20) {
                0 => {
                    bench.pass(UNIT * rng.below(125) as u32);
                    model.expire(bench.now);
                    continue;
                }
                1 => {
                    bench.command(Command::Revoke(terminal.home_address));
                    model.bound.remove(&terminal.home_address);
                    continue;
                }
                2 => {
                    let mut forged = terminal.clone();
                    forged.association.key = association(200).key;
                    let update = forged.update();
                    assert!(!bench.give(&forged.packet(update)).iter().any(|o| matches!(o, Output::Table(_))));
                    continue;
                }
                3 | 4 if !past.is_empty() => past[rng.below(past.len() as u64) as usize].clone(),
                5 | 6 => {
                    let site = 0xc + rng.below(3) as u16;
                    let to = Ipv6Addr::new(0x2001, 0xdb8, site, 0xc0a, 0, 0, 0, 1 + rng.below(9) as u16);
                    terminal.access_address = access(3, 1);
                    let options = MobilityOptions { alternate_care_of_address: Some(to), ..MobilityOptions::default() };
                    let lifetime = Lifetime(1 + rng.below(40) as u16);
                    let update = BindingUpdate { lifetime, options, ..terminal.update() };
                    (terminal.clone(), update)
                }
                7 | 8 => {
                    let update = terminal.deregistration();
                    (terminal.clone(), update)
                }
                kind => {
                    terminal.access_address = access(1 + rng.below(3) as u16, 1 + rng.below(1000) as u16);
                    if kind == 9 {
                        terminal.group = group(1 + rng.below(12));
                    }
                    let mut update = terminal.update();
                    update.lifetime = Lifetime(1 + rng.below(100) as u16);
                    update.options.gre_key = (rng.below(2) == 0).then_some(GreKey { key: None });
                    (terminal.clone(), update)
                }
            };
            let had = bench.agent.binding(terminal.home_address).map(|b| b.care_of);
            let expected = model.expect(bench.now, &terminal, &update, LIMIT);
            let acknowledgement = bench.ask(&terminal, update.clone());
            assert_eq!(acknowledgement.status, expected, "seed {seed}");
            if expected == Status::ACCEPTED && !update.options.subscriptions.is_empty() {
                let now_has = care_of(&acknowledgement);
                assert!(had.is_none_or(|had| had == now_has), "a refresh keeps the care-of address");
            }
            past.push((terminal, update));
            let modelled: Vec<_> = model.bound.iter().map(|(home, bound)| (*home, *bound)).collect();
            let bound = bench.agent.bindings().map(|b| {
                let forward = match b.state {
                    BindingState::Forward { to, .. } => b.forward_until.map(|until| (to, until)),
                    _ => None,
                };
                (b.home_address, Bound { group: b.group, end: b.expires_at, forward })
            });
            let bound: Vec<_> = bound.collect();
            assert_eq!(bound, modelled, "seed {seed}");
            assert!(bench.agent.quarantined() <= 3);
        }
        bench.command(Command::Stop);
        assert!(bench.entries.is_empty());
    }
}

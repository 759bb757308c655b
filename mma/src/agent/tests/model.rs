//! Random operations beside a reference model.

use super::*;

/// What a reference model, a few lines long, says of one update.
#[derive(Default)]
struct Model {
    bound: BTreeMap<Ipv6Addr, (Ipv6Addr, Instant)>,
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
        if terminal.access_address.segments()[3] > 0xa02 {
            return Status::ADMINISTRATIVELY_PROHIBITED;
        }
        let group = update.options.subscriptions[0].group;
        if self.bound.iter().any(|(home, (taken, _))| *taken == group && *home != home_address) {
            return Status::DUPLICATE_ADDRESS;
        }
        if !self.bound.contains_key(&home_address) && self.bound.len() >= limit {
            return Status::INSUFFICIENT_RESOURCES;
        }
        self.bound.insert(home_address, (group, now + update.lifetime.duration()));
        Status::ACCEPTED
    }

    fn expire(&mut self, now: Instant) {
        self.bound.retain(|_, (_, end)| *end > now);
    }
}

#[test]
fn agrees_with_a_reference_model_under_random_operations() {
    const LIMIT: usize = 6;
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let mut config = config();
        config.max_bindings = LIMIT;
        config.max_quarantined = 3;
        config.max_lifetime = Duration::from_secs(400);
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
            let terminal = &mut terminals[rng.below(10) as usize];
            let (terminal, update) = match rng.below(20) {
                0 => {
                    bench.pass(Duration::from_secs(rng.below(500)));
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
                5..=8 => {
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
            if expected == Status::ACCEPTED && !update.lifetime.is_zero() {
                let now_has = care_of(&acknowledgement);
                assert!(had.is_none_or(|had| had == now_has), "a refresh keeps the care-of address");
            }
            past.push((terminal, update));
            let modelled: Vec<_> = model.bound.iter().map(|(home, (group, end))| (*home, *group, *end)).collect();
            let bound: Vec<_> = bench.agent.bindings().map(|b| (b.home_address, b.group, b.expires_at)).collect();
            assert_eq!(bound, modelled, "seed {seed}");
            assert!(bench.agent.quarantined() <= 3);
        }
        bench.command(Command::Stop);
        assert!(bench.entries.is_empty());
    }
}

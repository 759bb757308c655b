//! A data plane and its model side by side: both are given the same updates and packets, and after each everything that
//! came out, every count and every frame of the pool is looked at.

use super::compare::{Chosen, dump};
use super::job::Job;
use super::model::{Freed, Held, Model, NeighborKey};
use super::oracle::{self, Outcome};
use super::packets::{Input, Packets};
use super::planes::{Counts, Planes};
use super::room::{Room, WAITING_PER_NEIGHBOR};
use super::tally::Tally;
use super::updates::Updates;
use super::world::{PORTS, Shape};
use core::net::Ipv6Addr;
use stack::machine::{Notice, PortId, RxMeta};
use stack::rng::Rng;
use stack::tables::{MrouteKey, TableUpdate, Watch};
use stack::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Sources and groups of which it is remembered what was told at the most.
const FLOWS: usize = 100_000;
/// Numbers of a terminal that are used while a packet waits at the most.
const NUMBERS: u32 = 1 << 16;
/// Steps after which the tables are compared entry by entry.
const FULL_CHECK: u64 = 500;

/// One round: a data plane from its start on.
pub(crate) struct Round {
    planes: Planes,
    model: Model,
    updates: Updates,
    packets: Packets,
    chosen: Chosen,
    rng: Rng,
    now: Instant,
    /// Calls of the data plane.
    calls: u64,
    /// Notices of a source and group that come once in a while, and when they came last.
    told: HashMap<(Ipv6Addr, Ipv6Addr), Vec<(Notice, Instant)>>,
    pub(crate) tally: Tally,
}

/// What had to come of several packets together.
struct Expected {
    outcome: Outcome,
    notices: Vec<Notice>,
    /// Routes that wait for a packet, and got one.
    awaiting: BTreeSet<MrouteKey>,
    /// Errors that the rate limit lets pass.
    errors: u64,
}

impl Round {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let shape = Shape::new(seed, &mut rng);
        let mut round = Round {
            planes: Planes::new(&shape, Rng::new(seed)),
            model: Model::new(shape),
            updates: Updates::new(rng.fork()),
            packets: Packets::new(),
            chosen: Chosen::default(),
            rng,
            now: Instant::from_secs(100),
            calls: 0,
            told: HashMap::new(),
            tally: Tally::default(),
        };
        round.model.now = round.now;
        for update in round.updates.first() {
            round.update(update);
        }
        round
    }

    /// Updates, and a batch of packets.
    pub(crate) fn step(&mut self, step: u64) {
        // Now and then time stands still, so that the limit on errors is met.
        if step % 200 > 8 {
            self.now += Duration::from_micros(self.rng.below(60_000));
        }
        self.model.now = self.now;
        self.time();
        for update in self.updates.some(step) {
            self.update(update);
        }
        let (port, batch) = self.packets.batch(&self.model, &mut self.updates);
        self.batch(port, batch);
        let sizes: Vec<_> = self.planes.first().table_sizes().collect();
        assert_eq!(sizes, self.model.table_sizes());
        self.tally.peak(&sizes);
        self.tally.peak(&[("neighbours", self.model.neighbors.len()), ("unresolved", self.model.unresolved)]);
        if step % FULL_CHECK == FULL_CHECK - 1 {
            self.check_tables();
        }
    }

    /// What was kept for too long goes.
    fn time(&mut self) {
        let before = self.planes.counts();
        self.planes.handle_timeout(self.now);
        let ends = vec!["drop-hold-too-old"; self.model.expire_held()];
        let expected = self.commit(vec![Outcome { ends, ..Outcome::default() }]);
        if let Err(what) = self.check(expected, &before) {
            panic!("at {:?}: {what}", self.now);
        }
    }

    /// What is left at the end, and how the flow labels are spread.
    pub(crate) fn finish(&mut self) {
        self.check_tables();
        self.tally.by_second = self.planes.forwarded_by_second();
        let (labels, flows) = self.chosen.spread();
        assert!(labels * 10 >= flows * 9, "{flows} flows have {labels} labels");
    }

    fn update(&mut self, update: TableUpdate) {
        if let TableUpdate::MrouteSet(key, _) | TableUpdate::MrouteRemove(key) = &update {
            // What is told of this source and group may be told again.
            self.told.remove(&(key.source, key.group));
        }
        let (update, freed_now) = self.possible(update);
        let before = self.planes.counts();
        let freed = self.model.apply(&update);
        self.planes.apply(self.now, update.clone());
        self.tally.updates += 1;
        let outcomes = match freed {
            Freed::Leave(key, jobs) => jobs.into_iter().map(|job| oracle::of_resolved(&self.model, key, job)).collect(),
            Freed::Fail => freed_now,
            Freed::Kept(key) => self.let_go(key, freed_now),
            Freed::Drop(count) => vec![Outcome { ends: vec!["drop-neighbor-removed"; count], ..Outcome::default() }],
            Freed::Refused => vec![Outcome { ends: vec!["refused-updates"], ..Outcome::default() }],
            Freed::NoPort => vec![Outcome { ends: vec!["refused-ports"], ..Outcome::default() }],
            Freed::Nothing => Vec::new(),
        };
        // Most updates set nothing free. What they should not have set free would be counted.
        if outcomes.is_empty() && self.planes.counts() == before {
            return;
        }
        let expected = self.commit(outcomes);
        if let Err(what) = self.check(expected, &before) {
            panic!("after {update:?}: {what}");
        }
    }

    /// Packets that a route has kept are gone where they have left it, and where it keeps none any more. Answers what came of
    /// those that have left, and the ends of the others.
    fn let_go(&mut self, key: MrouteKey, mut left: Vec<Outcome>) -> Vec<Outcome> {
        let route = self.model.mroutes.get(&key).map(|&(route, _)| route);
        let kept = self.model.held_of(key);
        let model = &self.model;
        let stays =
            |job: &Job| route.is_some_and(|route| route.hold && oracle::of_held(model, 0, job, &route).is_none());
        let stay: Vec<bool> = model.held.iter().map(|held| held.key != key || stays(&held.job)).collect();
        let mut stay = stay.into_iter();
        self.model.held.retain(|_| stay.next().expect("one each"));
        let gone = kept - self.model.held_of(key) - left.len();
        left.push(Outcome { ends: vec!["drop-hold-let-go"; gone], ..Outcome::default() });
        left
    }

    /// The update, or where its consequences would depend on an order that nobody promises, a similar one; and what comes
    /// of the packets that waited for a neighbour that failed, or for a branch that is there.
    fn possible(&mut self, update: TableUpdate) -> (TableUpdate, Vec<Outcome>) {
        let (port, address) = match update {
            TableUpdate::NeighborFailed(port, address) => (port, address),
            TableUpdate::MrouteSet(_, route) if route.forward.iter().any(|port| port.0 >= PORTS) => {
                return (update, Vec::new());
            }
            TableUpdate::MrouteSet(key, route) => {
                let held = self.model.held.iter().enumerate().filter(|(_, held)| held.key == key);
                let of_held = |(place, held): (usize, &Held)| oracle::of_held(&self.model, place, &held.job, &route);
                let left: Vec<_> = held.filter_map(of_held).collect();
                let mut room = Room::new(&self.model);
                return match left.iter().all(|outcome| room.takes(outcome)) {
                    true => (update, left),
                    false => (TableUpdate::MrouteRemove(key), Vec::new()),
                };
            }
            _ => return (update, Vec::new()),
        };
        let jobs = self.model.neighbors.get(&(port.0, address)).map(|state| state.waiting.clone()).unwrap_or_default();
        let leaving = jobs.len();
        let outcomes: Vec<_> = jobs.into_iter().map(|job| oracle::of_unreachable(&self.model, job)).collect();
        let mut room = Room::after(&self.model, (port.0, address), leaving);
        if outcomes.iter().all(|outcome| room.takes(outcome)) {
            (update, outcomes)
        } else {
            (TableUpdate::NeighborRemove(port, address), Vec::new())
        }
    }

    /// Gives a batch to the data plane, but for packets whose end would depend on the order in which those of a batch
    /// meet a limit; the first of them meets it alone afterwards.
    fn batch(&mut self, port: u8, batch: Vec<Input>) {
        let mut room = Room::new(&self.model);
        let (mut inputs, mut outcomes, mut alone) = (Vec::new(), Vec::new(), None);
        for input in batch {
            let outcome = oracle::of_frame(&self.model, port, &input.octets, input.serial, input.train);
            self.tally.drawn += 1;
            if outcome.is_unknown {
                self.tally.unknown += 1;
            } else if room.takes(&outcome) {
                inputs.push(input);
                outcomes.push(outcome);
            } else if alone.is_none() {
                alone = Some(input);
            }
        }
        self.process(port, &inputs, outcomes);
        if let Some(input) = alone {
            let outcome = oracle::of_frame(&self.model, port, &input.octets, input.serial, input.train);
            let mut room = Room::new(&self.model);
            if !outcome.is_unknown && (room.takes(&outcome) || room.takes_alone(&outcome)) {
                self.process(port, &[input], vec![outcome]);
            }
        }
    }

    fn process(&mut self, port: u8, inputs: &[Input], outcomes: Vec<Outcome>) {
        let before = self.planes.counts();
        self.planes.process(self.now, PortId(port), inputs.iter().map(|input| &input.octets[..]));
        for (input, outcome) in inputs.iter().zip(&outcomes) {
            self.tally.packet(input.kind, outcome);
        }
        let expected = self.commit(outcomes);
        if let Err(what) = self.check(expected, &before) {
            let input = inputs.iter().find(|input| what.contains(&format!("packet {}", input.serial)));
            let input = input.map(|input| format!("{:?} {}:\n{}", input.kind, input.serial, dump(&input.octets)));
            panic!("{} packets at port {port}: {what}{}", inputs.len(), input.unwrap_or_default());
        }
    }

    /// Changes the model as the packets do.
    fn commit(&mut self, outcomes: Vec<Outcome>) -> Expected {
        self.calls += 1;
        let mut all = Outcome::default();
        let (mut notices, mut awaiting) = (Vec::new(), BTreeSet::new());
        for mut outcome in outcomes {
            for (key, job) in core::mem::take(&mut outcome.waits) {
                self.wait(key, job, &mut outcome, &mut notices);
            }
            for (key, job) in core::mem::take(&mut outcome.holds) {
                self.hold(key, job, &mut outcome);
            }
            for key in &outcome.uses {
                let state = self.model.neighbors.get_mut(key).expect("used");
                if core::mem::take(&mut state.notify_use) {
                    notices.push(Notice::NeighborUsed { port: PortId(key.0), address: key.1 });
                }
            }
            for key in &outcome.hits {
                self.model.mroutes.get_mut(key).expect("hit").1 += 1;
            }
            for (key, _) in &outcome.awaited {
                self.model.mroutes.get_mut(key).expect("hit").0.watch = Watch::Nothing;
                awaiting.insert(*key);
            }
            all.append(outcome);
        }
        let errors = all.errors.min(self.model.error_tokens());
        self.model.take_error_tokens(errors);
        Expected { outcome: all, notices, awaiting, errors }
    }

    /// A packet waits for a neighbour, where there is room.
    fn wait(&mut self, key: NeighborKey, mut job: Job, outcome: &mut Outcome, notices: &mut Vec<Notice>) {
        let limits = self.model.shape.limits;
        let is_known = self.model.neighbors.contains_key(&key);
        if !is_known && (self.model.unresolved >= limits.unresolved_neighbors || !self.model.make_neighbor(key)) {
            return outcome.ends.push("drop-neighbor-table-full");
        }
        outcome.ends.push("punt-neighbor");
        job.waits_since = self.calls;
        let is_full = self.model.waiting >= limits.waiting_packets;
        let state = self.model.neighbors.get_mut(&key).expect("made");
        if !core::mem::replace(&mut state.is_asked, true) {
            notices.push(Notice::NeighborMissing { port: PortId(key.0), address: key.1 });
            self.updates.asked.push(key);
        }
        if state.waiting.len() >= WAITING_PER_NEIGHBOR {
            state.waiting.pop_front();
            state.waiting.push_back(job);
            outcome.ends.push("drop-neighbor-queue-full");
        } else if is_full {
            outcome.ends.push("drop-neighbor-queue-full");
        } else {
            state.waiting.push_back(job);
            self.model.waiting += 1;
        }
    }

    /// A route keeps a packet.
    fn hold(&mut self, key: MrouteKey, mut job: Job, outcome: &mut Outcome) {
        job.waits_since = self.calls;
        outcome.ends.push("punt-hold");
        if self.model.hold(key, job) {
            outcome.ends.push("drop-hold-too-many");
        }
        self.updates.holding.push(key);
    }

    /// Compares what came out with what had to.
    fn check(&mut self, expected: Expected, before: &Counts) -> Result<(), String> {
        let Expected { outcome, notices, awaiting, errors } = expected;
        let sent = self.planes.sent();
        let is_limited = errors < outcome.errors;
        let seen = self.chosen.compare(&outcome.frames, &sent, is_limited)?;
        if is_limited && seen.errors != errors {
            return Err(format!(
                "{} errors were sent where the limit lets {errors} of {} pass",
                seen.errors, outcome.errors
            ));
        }
        self.tally.outcome(&outcome, sent.len());
        self.check_sequences(&outcome.sequences, &seen.sequences)?;
        self.check_local(&outcome)?;
        self.check_notices(&outcome, notices, awaiting)?;
        self.check_counters(&outcome, errors, sent.len() as u64, before)
    }

    /// Each packet of a terminal has one of the numbers that are next (RFC 2890 §2.2).
    fn check_sequences(
        &mut self,
        expected: &[(Ipv6Addr, u64)],
        seen: &BTreeMap<(Ipv6Addr, u64), u32>,
    ) -> Result<(), String> {
        let mut used: BTreeMap<Ipv6Addr, u32> = BTreeMap::new();
        for (home_address, _) in expected {
            *used.entry(*home_address).or_default() += 1;
        }
        let mut numbers = BTreeSet::new();
        for (&(home_address, ticket), &number) in seen {
            if !expected.contains(&(home_address, ticket)) {
                // In a Register message it waited for a neighbour; its binding may be gone.
                let next = self.model.bindings.get(&home_address).map(|&(_, next)| next);
                if next.is_some_and(|next| next.wrapping_sub(number).wrapping_sub(1) >= NUMBERS) {
                    return Err(format!("{home_address}: number {number} long before {next:?}"));
                }
                continue;
            }
            let (_, next) = self.model.bindings[&home_address];
            let is_next = number.wrapping_sub(next) < used[&home_address];
            if !is_next || !numbers.insert((home_address, number)) {
                return Err(format!("{home_address}: number {number} where {next} and the like were next"));
            }
        }
        for (home_address, count) in used {
            let (_, next) = self.model.bindings.get_mut(&home_address).expect("bound");
            *next = next.wrapping_add(count);
        }
        Ok(())
    }

    fn check_local(&mut self, outcome: &Outcome) -> Result<(), String> {
        let key = |meta: &RxMeta, packet: &[u8]| format!("{meta:?}\n{}", dump(packet)) + &format!("{packet:?}");
        let mut expected: Vec<_> = outcome.local.iter().map(|(meta, packet)| key(meta, packet)).collect();
        let mut found = Vec::new();
        while let Some((meta, packet)) = self.planes.poll_local() {
            found.push(key(&meta, &packet));
        }
        expected.sort();
        found.sort();
        if expected == found { Ok(()) } else { Err(format!("the node was given {found:#?}, and not {expected:#?}")) }
    }

    fn check_notices(
        &mut self,
        outcome: &Outcome,
        mut expected: Vec<Notice>,
        mut awaiting: BTreeSet<MrouteKey>,
    ) -> Result<(), String> {
        while let Some(notice) = self.planes.poll_notice() {
            let is_right = match notice {
                Notice::MulticastSeen { .. } if outcome.awaited.iter().any(|(_, other)| *other == notice) => {
                    self.tally.end("told of an awaited packet");
                    let keys = outcome.awaited.iter().filter(|(_, other)| *other == notice);
                    keys.into_iter().any(|(key, _)| awaiting.remove(key))
                }
                Notice::MulticastMiss { source, group, .. } => {
                    self.may_tell(outcome, notice, (source, group), "told of a group without a route")
                }
                Notice::MulticastWrongPort { source, group, .. } => {
                    self.may_tell(outcome, notice, (source, group), "told of a wrong port")
                }
                Notice::MulticastSeen { source, group, .. } => {
                    self.may_tell(outcome, notice, (source, group), "told of a source")
                }
                Notice::Register { key, .. } => {
                    self.may_tell(outcome, notice, (key.source, key.group), "told of a register message")
                }
                Notice::Correspondent { home_address, correspondent, .. } => {
                    outcome.sightings.contains(&(home_address, correspondent))
                }
                _ => match expected.iter().position(|other| *other == notice) {
                    Some(place) => {
                        expected.swap_remove(place);
                        true
                    }
                    None => false,
                },
            };
            if !is_right {
                return Err(format!("the node was told of {notice:?}"));
            }
            self.tally.notices += 1;
        }
        match expected.is_empty() && awaiting.is_empty() {
            true => Ok(()),
            false => Err(format!("the node was not told of {expected:?} and of packets of {awaiting:?}")),
        }
    }

    /// Whether a packet of this call can be told of, and was not within the last second.
    fn may_tell(&mut self, outcome: &Outcome, notice: Notice, flow: (Ipv6Addr, Ipv6Addr), what: &'static str) -> bool {
        self.tally.end(what);
        if self.told.len() > FLOWS {
            self.told.clear();
        }
        let told = self.told.entry(flow).or_default();
        told.retain(|(_, at)| self.now.since(*at) < Duration::from_secs(1));
        let is_news = told.iter().all(|(other, _)| *other != notice);
        told.push((notice, self.now));
        is_news && outcome.may_tell.contains(&notice)
    }

    /// Every end is counted, every packet ends once, and every frame of the pool is somewhere.
    fn check_counters(&mut self, outcome: &Outcome, errors: u64, sent: u64, before: &Counts) -> Result<(), String> {
        const ENDS: [&str; 8] =
            ["drop-", "icmp-error-", "punt-", "hold-", "refused-", "output", "local", "unicast-deliveries"];
        const LIMITED: &str = "drop-icmp-rate-limit";
        let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
        for end in &outcome.ends {
            *expected.entry(end).or_default() += 1;
        }
        *expected.entry("output").or_default() += sent;
        *expected.entry("local").or_default() += outcome.local.len() as u64;
        let after = self.planes.counts();
        let mut found: BTreeMap<&str, u64> =
            after.iter().zip(before).map(|(&(name, after), (_, before))| (name, after - before)).collect();
        found.retain(|name, count| *count > 0 && ENDS.iter().any(|end| name.starts_with(end)));
        // Those that the node is told of wait for it, and then end as they would without: here it never answers.
        let waited = found.remove("punt-route").unwrap_or(0);
        if waited > outcome.may_tell.len() as u64 {
            return Err(format!("{waited} packets waited for a route, and {:?} can be told", outcome.may_tell));
        }
        if waited > 0 {
            self.tally.end("waited for a route");
        }
        if errors < outcome.errors {
            // Which of the errors were held back is the data plane's choice.
            let held_back = outcome.errors - errors;
            if found.remove(LIMITED) != Some(held_back) {
                return Err(format!(
                    "{held_back} of {} errors are beyond the limit; counted {found:?}, expected {expected:?}",
                    outcome.errors
                ));
            }
            for counts in [&mut expected, &mut found] {
                counts.retain(|name, _| !name.starts_with("icmp-error-"));
            }
            self.tally.end(LIMITED);
        }
        expected.retain(|_, count| *count > 0);
        if expected != found {
            return Err(format!("counted {found:?}, and not {expected:?}"));
        }
        self.planes.check(self.model.waiting + self.model.held.len())
    }

    /// Every table, entry by entry.
    fn check_tables(&self) {
        let (plane, model) = (self.planes.first(), &self.model);
        assert!(plane.routes().eq(model.routes()), "routes");
        let neighbors =
            model.neighbors.iter().map(|(&(port, address), state)| (PortId(port), address, state.link_address));
        assert!(plane.neighbors().eq(neighbors), "neighbours");
        let mroutes = model.mroutes.iter().map(|(&key, &(mroute, packets))| (key, mroute, packets));
        if let Some((found, expected)) = plane.mroutes().zip(mroutes).find(|(found, expected)| found != expected) {
            panic!("multicast route {found:?}, and not {expected:?}");
        }
        for (&(port, group), &listener) in &model.deliveries {
            assert_eq!(plane.delivery(PortId(port), group), Some(listener), "{group} on {port}");
        }
        let bindings = model.bindings.iter().map(|(&home_address, &(binding, _))| (home_address, binding));
        assert!(plane.mma_bindings().eq(bindings), "the mobility agent's bindings");
        let home = model.home_bindings.iter().map(|(&home_address, &binding)| (home_address, binding));
        assert!(plane.home_bindings().eq(home), "the home agent's bindings");
    }
}

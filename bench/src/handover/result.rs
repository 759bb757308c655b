//! Results: a line a stage, a line a router that had something to do, and a line for the site, of each
//! scenario; a line a kind of movement, mode and distance of the lab.

use super::cores::Load;
use super::lab::LabMore;
use super::message::Signalling;
use super::scenario::{Found, Share};
use super::site::Place;
use super::stage::{Costs, Stage, Stages};
use super::terminal::STREAM_OCTETS;
use crate::report::Line;
use crate::statistics::{Percentiles, Spread};
use serde::Serialize;

/// Figures beside those that every benchmark has.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum More {
    Stage(StageMore),
    Router(RouterMore),
    Site(SiteMore),
    Lab(LabMore),
}

/// What a stage took. A packet is a movement that passed it; nanoseconds are the medians of blocks.
#[derive(Clone, Serialize)]
pub(crate) struct StageMore {
    pub(crate) scenario: &'static str,
    pub(crate) stage: &'static str,
    pub(crate) what: &'static str,
    pub(crate) samples: u64,
    pub(crate) ns: Percentiles,
    /// The same by quantile.
    pub(crate) ns_curve: Vec<(f64, u64)>,
}

/// What a router did. A packet is a movement; nanoseconds are those of the router's core for one, timers included.
#[derive(Serialize)]
pub(crate) struct RouterMore {
    pub(crate) scenario: &'static str,
    pub(crate) router: &'static str,
    /// Part of the core's time that this took; none of a storm.
    pub(crate) busy: Option<f64>,
    pub(crate) turns: u64,
    /// The most frames that have waited at its ports at once.
    pub(crate) waiting_max: usize,
    pub(crate) signalling: Signalling,
}

/// What came of it. A packet is a movement; nanoseconds are those of all cores together.
#[derive(Serialize)]
pub(crate) struct SiteMore {
    pub(crate) scenario: &'static str,
    /// Seconds on the site's clock.
    pub(crate) seconds: f64,
    pub(crate) movements: u64,
    pub(crate) ended: u64,
    /// Movements of which nothing came.
    pub(crate) lost: u64,
    /// Packets of streams into trees, by the new branch, and by the old one as well.
    pub(crate) streamed: u64,
    pub(crate) received: u64,
    pub(crate) copies: u64,
    /// Routes that there should be at the end of all blocks, and those that were not so.
    pub(crate) routes_checked: u64,
    pub(crate) routes_wrong: u64,
    /// Frames that routers have dropped.
    pub(crate) drops: u64,
    /// Messages of all routers together.
    pub(crate) signalling: Signalling,
}

/// The lines of the stages of a scenario at a site with so many terminals.
pub(crate) fn stage_lines(scenario: &'static str, stages: &Stages, terminals: u32) -> Vec<Line<More>> {
    let line = |costs: &Costs| {
        let more = StageMore {
            scenario,
            stage: costs.stage.name(),
            what: costs.stage.what(),
            samples: costs.all.len(),
            ns: costs.all.percentiles(),
            ns_curve: costs.all.curve(),
        };
        let path = format!("{scenario}/{}", costs.stage.name());
        let figures = (costs.spread()?, costs.allocations(), costs.all.len());
        let mut line = line(path, terminals, figures, More::Stage(more));
        line.packet_octets = (costs.stage == Stage::FirstPacket).then_some(STREAM_OCTETS as u64);
        Some(line)
    };
    stages.all.iter().filter_map(line).collect()
}

/// A line; its figures are nanoseconds, allocations, and how many packets there were.
fn line(
    path: String,
    terminals: u32,
    (ns_per_packet, allocations, packets): (Spread, f64, u64),
    more: More,
) -> Line<More> {
    Line {
        path,
        entries: terminals.into(),
        groups: terminals.into(),
        branches: 1,
        packet_octets: None,
        distribution: "uniform".to_owned(),
        ns_per_packet,
        instructions_per_packet: None,
        allocations_per_packet: allocations,
        packets,
        more,
    }
}

/// The lines of a scenario at a site with so many terminals.
pub(crate) fn lines(found: &Found, terminals: u32) -> Vec<Line<More>> {
    let mut lines = stage_lines(found.name, &found.stages, terminals);
    let movements = found.outcome.begun;
    let allocations = |load: &Load| (load.allocations as f64 / movements.max(1) as f64 * 100.0).round() / 100.0;
    let mut all = Load::default();
    for (place, share) in Place::ALL.into_iter().zip(&found.loads) {
        let Share { load, waiting_max, blocks } = share;
        all = all + *load;
        if load.turns == 0 {
            continue;
        }
        let more = RouterMore {
            scenario: found.name,
            router: place.name(),
            busy: (!found.is_storm).then(|| load.busy.as_secs_f64() / found.time.as_secs_f64()),
            turns: load.turns,
            waiting_max: *waiting_max,
            signalling: load.signalling,
        };
        let path = format!("{}/load/{}", found.name, place.name());
        let figures = (Spread::of(blocks).rounded(), allocations(load), movements);
        lines.push(line(path, terminals, figures, More::Router(more)));
    }
    let more = SiteMore {
        scenario: found.name,
        seconds: found.time.as_secs_f64(),
        movements,
        ended: found.outcome.ended,
        lost: found.lost,
        streamed: found.outcome.streamed,
        received: found.outcome.received,
        copies: found.outcome.copies,
        routes_checked: found.inspection.routes,
        routes_wrong: found.inspection.wrong,
        drops: all.drops,
        signalling: all.signalling,
    };
    let figures = (Spread::of(&found.site_blocks).rounded(), allocations(&all), movements);
    lines.push(line(format!("{}/load/site", found.name), terminals, figures, More::Site(more)));
    lines
}

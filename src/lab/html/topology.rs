//! The drawing of a lab with the ways of packets on it.

use super::layout::{Layout, Place, Thing};
use super::scale::number;
use crate::config::lab::{Lab, LabLinkKind, LinkIndex};
use crate::lab::closeup::ways::{Step, Ways};
use crate::lab::observe::Station;
use maud::{Markup, html};

/// What the drawing without ways is called, for those that are drawn over it.
const GROUND: &str = "lab";

/// Which time a way is of.
#[derive(Clone, Copy)]
enum Time {
    Before,
    Between,
    After,
}

impl Time {
    const fn class(self) -> &'static str {
        match self {
            Time::Before => "before",
            Time::Between => "between",
            Time::After => "after",
        }
    }

    /// How far beside the link a way is drawn, so that those of all times and both directions are seen.
    fn shift(self, to_the_right: bool) -> f64 {
        let shift = match self {
            Time::Before => -5.5,
            Time::After => -1.5,
            Time::Between => -9.0,
        };
        if to_the_right { shift } else { -shift }
    }
}

/// What all drawings of a page share: the lab without ways, and the tips of arrows.
pub(super) fn shared(lab: &Lab, layout: &Layout) -> Markup {
    html! {
        svg width="0" height="0" style="position:absolute" aria-hidden="true" {
            defs {
                @for time in [Time::Before, Time::Between, Time::After] {
                    marker id={ "tip-" (time.class()) } viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto" {
                        path class={ "tip-" (time.class()) } d="M0 0L8 4L0 8z" {}
                    }
                }
                g id=(GROUND) {
                    @for site in &layout.sites {
                        rect class="site" x=(number(site.x)) y=(number(site.y)) width=(number(site.width)) height=(number(site.height)) rx="10" {}
                        text class="small" x=(number(site.x + 8.0)) y=(number(site.y + 12.0)) { (site.name) }
                    }
                    @for &(one, other, link) in &layout.lines {
                        @if let (Some(one), Some(other)) = (layout.place(one), layout.place(other)) {
                            path class=(wire_class(lab, one, other)) d=(curve(one, other, 0.0)) { title { (link_title(lab, link)) } }
                        }
                    }
                    @for place in &layout.places { (drawn(lab, place)) }
                }
            }
        }
    }
}

fn wire_class(lab: &Lab, one: &Place, other: &Place) -> &'static str {
    let of_terminal = |place: &Place| matches!(place.thing, Thing::Station(station) if station.terminal(lab).is_some());
    if of_terminal(one) || of_terminal(other) { "wire radio" } else { "wire" }
}

fn link_title(lab: &Lab, link: LinkIndex) -> String {
    let link = &lab.links[link.0];
    let mut title = format!("link {}", link.name);
    if let Some(site) = &link.site {
        title += &format!(", site {site}");
    }
    title
}

fn drawn(lab: &Lab, place: &Place) -> Markup {
    let (left, top) = (place.x - place.width / 2.0, place.y - place.height / 2.0);
    match place.thing {
        Thing::Link(link) => html! {
            g {
                title { (link_title(lab, link)) }
                rect class="pill" x=(number(left)) y=(number(top)) width=(number(place.width)) height=(number(place.height)) rx="12" {}
                text class="soft mid" x=(number(place.x)) y=(number(place.y + 4.0)) { (place.name) }
            }
        },
        Thing::Station(station) => html! {
            g {
                title { (station.name(lab)) ", " (place.role) }
                rect class=(box_class(lab, station)) x=(number(left)) y=(number(top)) width=(number(place.width)) height=(number(place.height)) rx="6" {}
                text class="name mid" x=(number(place.x)) y=(number(place.y - 2.0)) { (place.name) }
                text class="small mid" x=(number(place.x)) y=(number(place.y + 11.5)) { (place.role) }
            }
        },
    }
}

fn box_class(lab: &Lab, station: Station) -> &'static str {
    let Some(node) = lab.nodes.get(usize::from(station.0)) else { return "box host" };
    let config = &node.config;
    if config.mobile_terminal.is_some() {
        "box mobile"
    } else if config.mma.is_some() || config.home_agent.is_some() {
        "box agent"
    } else if config.access_router.is_some() {
        "box access"
    } else {
        "box"
    }
}

/// A line from one place to another, so many pixels lower.
fn curve(from: &Place, to: &Place, shift: f64) -> String {
    let half = |place: &Place| place.width / 2.0;
    let (y1, y2) = (from.y + shift, to.y + shift);
    let (x1, x2, bend, back) = match from.column.cmp(&to.column) {
        core::cmp::Ordering::Less => {
            let (x1, x2) = (from.x + half(from), to.x - half(to));
            (x1, x2, (x2 - x1) / 2.0, (x2 - x1) / -2.0)
        }
        core::cmp::Ordering::Greater => {
            let (x1, x2) = (from.x - half(from), to.x + half(to));
            (x1, x2, (x2 - x1) / 2.0, (x2 - x1) / -2.0)
        }
        core::cmp::Ordering::Equal => (from.x + half(from), to.x + half(to), 34.0, 34.0),
    };
    let [x1, y1, c1, c2, x2, y2] = [x1, y1, x1 + bend, x2 + back, x2, y2].map(number);
    format!("M{x1} {y1}C{c1} {y1} {c2} {y2} {x2} {y2}")
}

/// The lab with the ways around a movement.
pub(super) fn drawing(lab: &Lab, layout: &Layout, ways: &Ways, title: &str) -> Markup {
    let (width, height) = (number(layout.width), number(layout.height));
    html! {
        svg.fit viewBox={ "0 0 " (width) " " (height) } role="img" aria-label=(title) {
            use href={ "#" (GROUND) } {}
            @for (time, steps) in [(Time::Between, &ways.between), (Time::Before, &ways.before), (Time::After, &ways.after)] {
                @for step in steps { (way(lab, layout, time, step)) }
            }
        }
    }
}

fn way(lab: &Lab, layout: &Layout, time: Time, step: &Step) -> Markup {
    let sender = Thing::Station(step.sender);
    let receiver = step.receiver.map(Thing::Station);
    // By way of the link where that is a place.
    let over = (lab.links[step.link.0].kind == LabLinkKind::Lan).then_some(Thing::Link(step.link));
    let stations: Vec<&Place> =
        [Some(sender), over, receiver].into_iter().flatten().filter_map(|thing| layout.place(thing)).collect();
    let packets = if step.packets == 1 { "packet" } else { "packets" };
    let to = step.receiver.map_or("nobody", |receiver| receiver.name(lab));
    html! {
        @for pair in stations.windows(2) {
            @let shift = time.shift(pair[0].column <= pair[1].column);
            path class={ "way " (time.class()) } marker-end={ "url(#tip-" (time.class()) ")" } d=(curve(pair[0], pair[1], shift)) {
                title {
                    (time.class()) ": " (step.sender.name(lab)) " to " (to) " on " (lab.links[step.link.0].name) ", "
                    (step.packets) " " (packets) ", " (step.headers)
                }
            }
        }
    }
}

/// What the lines mean.
pub(super) fn legend(from: &str, to: &str) -> Markup {
    let line = |class: &str| {
        html! { svg width="30" height="10" aria-hidden="true" { path class={ "way " (class) } d="M1 5H29" {} } }
    };
    html! {
        div.legend {
            span { (line("before")) "before: on " (from) }
            span { (line("after")) "after: on " (to) }
            span { (line("between")) "in between only" }
        }
        "Packets of programs to the terminal, of all flows. Lines and arrows tell more when they are pointed at."
    }
}

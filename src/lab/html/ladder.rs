//! The messages of a movement as a ladder: nodes side by side, time downwards, a line a message.
//!
//! Lines are as far from each other as they need to be read, not as the time between them is long. The time and a few words
//! stand on the left, where narrow screens show them first.

use super::layout::{Layout, shortened};
use super::scale::number;
use crate::config::lab::Lab;
use crate::lab::closeup::Movement;
use crate::lab::closeup::messages::{Exchange, Purpose};
use crate::lab::observe::Station;
use crate::lab::report::Handover;
use maud::{Markup, html};

const ROW: f64 = 22.0;
const TIME_WIDTH: f64 = 118.0;
/// Pixels from a node to the next, as there is room.
const COLUMNS_WIDTH: f64 = 600.0;
const COLUMN: (f64, f64) = (40.0, 92.0);
/// Pixels of a letter.
const LETTER: f64 = 6.9;
const HEAD: f64 = 30.0;
const SLANTED_HEAD: f64 = 78.0;

impl Purpose {
    const ALL: [Purpose; 6] = [
        Purpose::Discovery,
        Purpose::Membership,
        Purpose::Routing,
        Purpose::Mobility,
        Purpose::Handover,
        Purpose::Error,
    ];

    const fn class(self) -> &'static str {
        match self {
            Purpose::Discovery => "discovery",
            Purpose::Membership => "membership",
            Purpose::Routing => "routing",
            Purpose::Mobility => "mobility",
            Purpose::Handover => "handover",
            Purpose::Error => "error",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Purpose::Discovery => "neighbour discovery",
            Purpose::Membership => "MLD",
            Purpose::Routing => "PIM",
            Purpose::Mobility => "Mobile IPv6",
            Purpose::Handover => "among access routers",
            Purpose::Error => "errors",
        }
    }
}

/// A line of the ladder.
enum Line<'a> {
    Made,
    Stage(&'static str),
    Message(&'a Exchange),
}

/// What a stage that a terminal has reached means.
fn stage_words(stage: &str) -> &str {
    match stage {
        "link" => "the new link is up",
        "ra" => "the new router was heard",
        "report" => "the group is joined on the new link",
        "first_data" => "the first packet by the new link",
        "uplink" => "packets leave by the new router",
        "registered" => "the mobility agent has acknowledged",
        "home_registered" => "the home agent has acknowledged",
        "left_old" => "the group is left on the old link",
        other => other,
    }
}

/// The ladder of a movement.
pub(super) fn ladder(lab: &Lab, layout: &Layout, movement: &Movement, handover: &Handover) -> Markup {
    let mut lines: Vec<(i64, Line<'_>)> = vec![(0, Line::Made)];
    lines.extend(
        handover.stages_us.iter().map(|(&stage, &at)| (i64::try_from(at).unwrap_or(i64::MAX), Line::Stage(stage))),
    );
    lines.extend(movement.messages.iter().map(|message| (message.at_us, Line::Message(message))));
    // Stable: what is of one instant stays in this order.
    lines.sort_by_key(|&(at, _)| at);
    let terminal = Station::all(lab).find(|station| station.name(lab) == handover.terminal);
    let takes_part = |station: Station| {
        let of = |message: &Exchange| {
            message.sender == station || message.through.contains(&station) || message.receivers.contains(&station)
        };
        Some(station) == terminal || movement.messages.iter().any(of)
    };
    let columns: Vec<Station> = layout.stations().into_iter().filter(|&station| takes_part(station)).collect();
    let column = (COLUMNS_WIDTH / columns.len().max(1) as f64).clamp(COLUMN.0, COLUMN.1);
    let names: Vec<String> = columns.iter().map(|station| shortened(station.name(lab))).collect();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0) as f64 * LETTER;
    let slanted = longest > column - 6.0;
    let head = if slanted { (longest * 0.72 + 18.0).min(SLANTED_HEAD + 40.0) } else { HEAD };
    let words = |line: &Line<'_>| -> String {
        match line {
            Line::Made => {
                let from = if handover.from.is_empty() { "no link" } else { &handover.from };
                format!("the movement is made: {from} to {}", handover.to)
            }
            Line::Stage(stage) => format!("{}: {}", handover.terminal, stage_words(stage)),
            Line::Message(message) => match message.again {
                None => message.headline.clone(),
                Some((count, last)) => format!("{}; {count} more until {}", message.headline, time(last)),
            },
        }
    };
    let letters = lines.iter().map(|(_, line)| words(line).chars().count()).max().unwrap_or(0);
    let columns_at = TIME_WIDTH + letters as f64 * LETTER + 4.0;
    let x_of = |station: Station| {
        let index = columns.iter().position(|&other| other == station);
        index.map(|index| columns_at + column * (index as f64 + 0.5))
    };
    let right = columns_at + column * columns.len() as f64;
    // A slanted name reaches to the right of its node.
    let ends = columns.iter().zip(&names).filter_map(|(&station, name)| {
        Some(x_of(station)? + if slanted { name.chars().count() as f64 * LETTER * 0.75 } else { 0.0 })
    });
    let width = ends.fold(right, f64::max) + 8.0;
    let height = head + lines.len() as f64 * ROW + 8.0;
    html! {
        div.scroll {
            svg width=(number(width)) height=(number(height)) viewBox={ "0 0 " (number(width)) " " (number(height)) } role="img" aria-label="messages of the movement" {
                text class="small end" x=(number(TIME_WIDTH - 12.0)) y=(number(head - 10.0)) { "ms" }
                @for (station, name) in columns.iter().zip(&names) {
                    @if let Some(x) = x_of(*station) {
                        path class="life" d={ "M" (number(x)) " " (number(head - 4.0)) "V" (number(height - 4.0)) } {}
                        @if slanted {
                            text class="name" transform={ "translate(" (number(x - 2.0)) " " (number(head - 10.0)) ") rotate(-42)" } { (name) }
                        } @else {
                            text class="name mid" x=(number(x)) y=(number(head - 10.0)) { (name) }
                        }
                    }
                }
                @for (index, (at, line)) in lines.iter().enumerate() {
                    @let y = head + (index as f64 + 0.5) * ROW;
                    g {
                        rect class="row" x="0" y=(number(y - ROW / 2.0)) width=(number(width)) height=(number(ROW)) {}
                        text class="soft end" x=(number(TIME_WIDTH - 12.0)) y=(number(y + 4.0)) {
                            @match line {
                                Line::Message(message) if message.last_us > message.at_us => (times(message)),
                                _ => (time(*at)),
                            }
                        }
                        @match line {
                            Line::Made => {
                                path class="made" d={ "M" (number(columns_at)) " " (number(y)) "H" (number(right)) } {}
                                text class="name" x=(number(TIME_WIDTH)) y=(number(y + 4.0)) { (words(line)) }
                            }
                            Line::Stage(_) => {
                                @if let Some(x) = terminal.and_then(x_of) {
                                    path class="stage" d={ "M" (number(x)) " " (number(y - 5.0)) "l5 5l-5 5l-5 -5z" } {}
                                }
                                text class="soft" x=(number(TIME_WIDTH)) y=(number(y + 4.0)) { (words(line)) }
                            }
                            Line::Message(message) => {
                                title { (told(lab, message)) }
                                (arrow(message, y, x_of))
                                text x=(number(TIME_WIDTH)) y=(number(y + 4.0)) { (words(line)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn arrow(message: &Exchange, y: f64, x_of: impl Fn(Station) -> Option<f64>) -> Markup {
    let class = message.purpose.class();
    let Some(start) = x_of(message.sender) else { return html! {} };
    let passed: Vec<f64> = message.through.iter().filter_map(|&station| x_of(station)).collect();
    let ends: Vec<f64> = message.receivers.iter().filter_map(|&station| x_of(station)).collect();
    let all = || passed.iter().chain(&ends).copied().chain([start]);
    let (left, right) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let from = passed.last().copied().unwrap_or(start);
    html! {
        path class={ "m " (class) } d={ "M" (number(left)) " " (number(y)) "H" (number(right)) } {}
        circle class={ "f-" (class) } cx=(number(start)) cy=(number(y)) r="3.5" {}
        @for x in &passed { circle class={ "pass " (class) } cx=(number(*x)) cy=(number(y)) r="3" {} }
        @for x in &ends {
            @let back = if *x >= from { -8.0 } else { 8.0 };
            path class={ "f-" (class) } d={ "M" (number(*x)) " " (number(y)) "l" (number(back)) " -4.5v9z" } {}
        }
        @if ends.is_empty() {
            path class={ "m " (class) } d={ "M" (number(from + 4.0)) " " (number(y - 4.0)) "l8 8m0 -8l-8 8" } {}
        }
    }
}

/// Milliseconds after the movement, with their sign.
fn time(micros: i64) -> String {
    format!("{:+.1}", micros as f64 / 1e3)
}

fn times(message: &Exchange) -> String {
    format!("{} … {}", time(message.at_us), time(message.last_us))
}

fn names(lab: &Lab, stations: &[Station]) -> String {
    let names: Vec<&str> = stations.iter().map(|station| station.name(lab)).collect();
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}

fn told(lab: &Lab, message: &Exchange) -> String {
    let links: Vec<&str> = message.links.iter().map(|link| lab.links[link.0].name.as_str()).collect();
    format!(
        "{} to {} on {}\n{}",
        message.sender.name(lab),
        names(lab, &message.receivers),
        links.join(", "),
        message.decoded
    )
}

/// The messages once more, with all that is read of them.
pub(super) fn decoded(lab: &Lab, movement: &Movement) -> Markup {
    html! {
        details {
            summary { (movement.messages.len()) " messages, decoded" }
            div.scroll {
                table {
                    thead { tr { th { "ms" } th.text { "from" } th.text { "through" } th.text { "to" } th { "sent" } th.text { "message" } } }
                    tbody {
                        @for message in &movement.messages {
                            tr {
                                td { (time(message.at_us)) }
                                td.text { (message.sender.name(lab)) }
                                td.text { @if message.through.is_empty() { "-" } @else { (names(lab, &message.through)) } }
                                td.text { (names(lab, &message.receivers)) }
                                td { (1 + message.again.map_or(0, |again| again.0)) }
                                td.text.wrap { code { (message.decoded) } }
                            }
                        }
                    }
                }
            }
        }
        @if movement.messages_left_out > 0 {
            p.note { (movement.messages_left_out) " more messages are left out." }
        }
    }
}

/// What the colours and signs mean.
pub(super) fn legend() -> Markup {
    html! {
        div.legend {
            @for purpose in Purpose::ALL {
                span {
                    svg width="26" height="12" aria-hidden="true" {
                        path class={ "m " (purpose.class()) } d="M2 6H22" {}
                        path class={ "f-" (purpose.class()) } d="M26 6l-8 -4.5v9z" {}
                    }
                    (purpose.words())
                }
            }
            span { svg width="12" height="12" aria-hidden="true" { circle class="pass discovery" cx="6" cy="6" r="3" {} } "passed on by" }
            span { svg width="12" height="12" aria-hidden="true" { path class="stage" d="M6 1l5 5l-5 5l-5 -5z" {} } "what the terminal tells" }
        }
    }
}

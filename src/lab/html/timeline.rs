//! Drawings of packets: around a movement one by one, and of the whole run in parts.

use super::scale::{Scale, label, number};
use crate::lab::closeup::packets::{PARTS, Packet, Window};
use crate::lab::closeup::{Closeup, packets::Stripe};
use crate::lab::report::Handover;
use maud::{Markup, html};
use std::fmt::Write;

const WIDTH: f64 = 600.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = WIDTH - 12.0;
/// From the top: marks of the lost, delays, arrivals, the axis.
const LOST_AT: f64 = 22.0;
const DELAY: (f64, f64) = (160.0, 44.0);
const RUG: (f64, f64) = (178.0, 196.0);
const HEIGHT: f64 = 240.0;
/// Marks that tell of themselves when they are pointed at; the others are drawn as one.
const MAX_TOLD: usize = 400;

/// The packets around a movement.
pub(super) fn window(window: &Window, handover: &Handover) -> Markup {
    let millis = |micros: i64| micros as f64 / 1e3;
    let time = Scale::new(millis(window.from_us), millis(window.until_us), (LEFT, RIGHT));
    let slowest = window.packets.iter().flat_map(|packet| packet.delays_us.iter().copied()).max().unwrap_or(0);
    let delay = Scale::new(0.0, slowest as f64 / 1e3 * 1.08, DELAY);
    let (mut dots, mut rug) = (String::new(), String::new());
    let mut marks: Vec<(&Packet, &'static str, String)> = Vec::new();
    for packet in &window.packets {
        let x = time.at(millis(packet.sent_us));
        for (copy, &under_way) in packet.delays_us.iter().enumerate() {
            let y = delay.at(under_way as f64 / 1e3);
            let arrival = millis(packet.sent_us) + under_way as f64 / 1e3;
            if (millis(window.from_us)..=millis(window.until_us)).contains(&arrival) {
                let _ = write!(rug, "M{} {}V{}", number(time.at(arrival)), RUG.0, RUG.1);
            }
            let [left, right, top, bottom] = [x - 4.0, x + 4.0, y - 4.0, y + 4.0].map(number);
            let [x, y] = [x, y].map(number);
            if copy > 0 {
                marks.push((packet, "twice", format!("M{left} {y}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0")));
            } else if packet.late {
                marks.push((packet, "late", format!("M{x} {top}L{right} {y}L{x} {bottom}L{left} {y}z")));
            } else {
                let _ = write!(dots, "M{x} {y}h0");
            }
        }
        if packet.delays_us.is_empty() {
            let [left, right, top, bottom] = [x - 3.0, x + 3.0, LOST_AT - 5.0, LOST_AT + 5.0].map(number);
            marks.push((packet, "lost", format!("M{left} {top}L{right} {bottom}M{right} {top}L{left} {bottom}")));
        }
    }
    let (told, rest) = marks.split_at(marks.len().min(MAX_TOLD));
    let drawing = html! {
        svg.fit viewBox={ "0 0 " (number(WIDTH)) " " (number(HEIGHT)) } role="img" aria-label="packets around the movement" {
            text class="small end" x=(number(LEFT - 6.0)) y=(number(LOST_AT + 4.0)) { "lost" }
            path class="grid" d={ "M" (number(LEFT)) " " (number(LOST_AT + 10.0)) "H" (number(RIGHT)) } {}
            @for tick in delay.ticks(4) {
                @let y = number(delay.at(tick));
                path class="grid" d={ "M" (number(LEFT)) " " (y) "H" (number(RIGHT)) } {}
                text class="small end" x=(number(LEFT - 6.0)) y=(number(delay.at(tick) + 4.0)) { (label(tick)) }
            }
            text class="small mid" transform={ "translate(12 " (number((DELAY.0 + DELAY.1) / 2.0)) ") rotate(-90)" } { "ms under way" }
            text class="small end" x=(number(LEFT - 6.0)) y=(number(RUG.1 - 4.0)) { "arrivals" }
            @if let Some((start, end)) = window.silence_us {
                @let (x1, x2) = (time.at(millis(start)), time.at(millis(end)));
                rect class="silence" x=(number(x1)) y=(number(DELAY.1)) width=(number((x2 - x1).max(1.0))) height=(number(RUG.1 - DELAY.1)) {
                    title { "no arrival from " (label(millis(start))) " ms to " (label(millis(end))) " ms" }
                }
            }
            @for tick in time.ticks(8) {
                @let x = time.at(tick);
                path class="axis" d={ "M" (number(x)) " " (number(RUG.1 + 2.0)) "v5" } {}
                text class="small mid" x=(number(x)) y=(number(RUG.1 + 19.0)) { (label(tick)) }
            }
            path class="axis" d={ "M" (number(LEFT)) " " (number(RUG.1 + 2.0)) "H" (number(RIGHT)) } {}
            text class="small mid" x=(number((LEFT + RIGHT) / 2.0)) y=(number(HEIGHT - 8.0)) { "ms after the movement: sent (dots), arrived (arrivals)" }
            path class="moved" d={ "M" (number(time.at(0.0))) " 10V" (number(RUG.1 + 2.0)) } { title { "the movement is made" } }
            path class="rug" d=(rug) {}
            path class="dots" d=(dots) {}
            @for (packet, class, mark) in told {
                path class=(class) d=(mark) { title { (told_of(packet)) } }
            }
            @for class in ["lost", "twice", "late"] {
                @let more: String = rest.iter().filter(|mark| mark.1 == class).map(|mark| mark.2.as_str()).collect();
                @if !more.is_empty() { path class=(class) d=(more) {} }
            }
        }
    };
    html! {
        div.scroll { (drawing) }
        figcaption { (caption(window, handover)) }
    }
}

fn told_of(packet: &Packet) -> String {
    let mut text = format!("sent at {:.3} ms", packet.sent_us as f64 / 1e3);
    match &packet.delays_us[..] {
        [] => text += ", lost",
        all => {
            let delays: Vec<String> = all.iter().map(|delay| format!("{:.3}", *delay as f64 / 1e3)).collect();
            text += &format!(", {} ms under way", delays.join(" and "));
        }
    }
    if packet.late {
        text += ", overtaken";
    }
    text
}

fn caption(window: &Window, handover: &Handover) -> Markup {
    let count = |what: fn(&Packet) -> bool| window.packets.iter().filter(|packet| what(packet)).count();
    let mark = |class: &str, d: &str| {
        html! { svg width="12" height="12" aria-hidden="true" { path class=(class) d=(d) {} } }
    };
    html! {
        div.legend {
            span { (mark("dots", "M6 6h0")) (count(|packet| !packet.delays_us.is_empty())) " delivered" }
            span { (mark("lost", "M2 2L10 10M10 2L2 10")) (count(|packet| packet.delays_us.is_empty())) " lost" }
            span { (mark("twice", "M2 6a4 4 0 1 0 8 0a4 4 0 1 0 -8 0")) (count(|packet| packet.delays_us.len() > 1)) " delivered again" }
            span { (mark("late", "M6 2L10 6L6 10L2 6z")) (count(|packet| packet.late)) " overtaken" }
        }
        "Packets of " b { (window.flow) } " sent in the time that is shown. "
        @if handover.interruption_us > 0 {
            "The interruption of " (label(handover.interruption_us as f64 / 1e3))
            " ms is the shaded time without an arrival, less the time between two packets. "
        }
        @if window.elsewhere > 0 {
            b { (window.elsewhere) " more" } " were lost, delivered again or overtaken until the next movement, and are not shown."
        }
    }
}

const RUN_WIDTH: f64 = 1180.0;
const RUN_LEFT: f64 = 150.0;
const RUN_ROW: f64 = 34.0;
const RUN_TOP: f64 = 26.0;
/// Pixels from a number of a movement to the next.
const NUMBER_ROOM: f64 = 20.0;
/// Pixels from a line of a movement to the next.
const LINE_ROOM: f64 = 3.0;

/// The whole run, a line a flow.
pub(super) fn run(closeup: &Closeup, handovers: &[Handover]) -> Markup {
    let seconds = Scale::new(0.0, closeup.duration.as_secs_f64(), (RUN_LEFT, RUN_WIDTH - 14.0));
    let bottom = RUN_TOP + closeup.stripes.len() as f64 * RUN_ROW;
    // Of what would stand on what is there already, nothing.
    let at = |room: f64| {
        let mut last = f64::NEG_INFINITY;
        handovers.iter().zip(1..).filter_map(move |(handover, number): (&Handover, u32)| {
            let x = seconds.at(handover.at_us as f64 / 1e6);
            let has_room = x - last >= room;
            last = if has_room { x } else { last };
            has_room.then_some((x, number))
        })
    };
    html! {
        svg.fit.broadest viewBox={ "0 0 " (number(RUN_WIDTH)) " " (number(bottom + 42.0)) } role="img" aria-label="packets of the whole run" {
            text class="small end" x=(number(RUN_LEFT - 10.0)) y="14" { "movement" }
            @for (x, movement) in at(NUMBER_ROOM) { text class="small mid" x=(number(x)) y="14" { (movement) } }
            @for (x, _) in at(LINE_ROOM) { path class="moved" d={ "M" (number(x)) " 18V" (number(bottom)) } {} }
            @for (row, stripe) in closeup.stripes.iter().enumerate() {
                (flow_row(stripe, RUN_TOP + row as f64 * RUN_ROW))
            }
            path class="axis" d={ "M" (number(RUN_LEFT)) " " (number(bottom + 2.0)) "H" (number(RUN_WIDTH - 14.0)) } {}
            @for tick in seconds.ticks(14) {
                @let x = seconds.at(tick);
                path class="axis" d={ "M" (number(x)) " " (number(bottom + 2.0)) "v5" } {}
                text class="small mid" x=(number(x)) y=(number(bottom + 19.0)) { (label(tick)) }
            }
            text class="small mid" x=(number((RUN_LEFT + RUN_WIDTH) / 2.0)) y=(number(bottom + 36.0)) { "seconds after the traffic started" }
        }
    }
}

fn flow_row(stripe: &Stripe, top: f64) -> Markup {
    let (left, right) = (RUN_LEFT, RUN_WIDTH - 14.0);
    let x = |index: usize| left + (right - left) * index as f64 / PARTS as f64;
    // In a part in which nothing was sent, what was true before is still true.
    let shares = stripe.parts.iter().scan(0.0, |share, part| {
        if part.sent > 0 {
            *share = (part.sent - part.lost) as f64 / part.sent as f64;
        }
        Some(*share)
    });
    let delivered: String = shares
        .enumerate()
        .filter(|&(_, share)| share > 0.0)
        .map(|(index, share)| {
            let (floor, width) = (number(top + 26.0), x(1) - left + 0.1);
            format!("M{} {floor}h{width:.2}v-{}h-{width:.2}z", number(x(index)), number(14.0 * share))
        })
        .collect();
    html! {
        text class="end" x=(number(RUN_LEFT - 10.0)) y=(number(top + 18.0)) { (super::layout::shortened(&stripe.flow)) }
        text class="small end" x=(number(RUN_LEFT - 10.0)) y=(number(top + 30.0)) { "to " (super::layout::shortened(&stripe.towards)) }
        path class="run" d=(delivered) {}
        @for (index, part) in stripe.parts.iter().enumerate() {
            @for (class, count, what, at) in [("lost", part.lost, "lost", 5.0), ("twice", part.duplicated, "delivered again", 7.0), ("late", part.late, "overtaken", 9.0)] {
                @if count > 0 {
                    path class=(class) d={ "M" (number(x(index) + 1.2)) " " (number(top + at)) "v" (number(30.0 - at)) } {
                        title { (count) " " (what) " of " (part.sent) " packets" }
                    }
                }
            }
        }
    }
}

//! A run of a lab as one page of HTML that needs nothing else: no script, no font, no picture, no network.
//!
//! Figures are those of the report, and the page holds the report as JSON too. What it shows beside them is from the
//! [closeup](super::closeup). All text is escaped: the names in a lab file may be anything.

mod histogram;
mod ladder;
mod layout;
mod scale;
mod timeline;
mod topology;

use super::closeup::{Closeup, MAX_MOVEMENTS, Movement};
use super::comparison::{self, Comparison};
use super::report::{self, Check, Handover, Report, order};
use crate::config::lab::Lab;
use layout::Layout;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Rows of a table at the most.
const MAX_ROWS: usize = 1000;
/// Octets of the report that a page holds; a longer one is printed with `--json`.
const MAX_JSON: usize = 4_000_000;
const STYLE: &str = include_str!("style.css");

/// A run to be shown.
pub(crate) struct View<'a> {
    /// The mode of its terminals, where there are several.
    pub(crate) mode: Option<&'a str>,
    /// What was run.
    pub(crate) lab: &'a Lab,
    /// What was found.
    pub(crate) report: &'a Report,
    /// The same from close up.
    pub(crate) closeup: &'a Closeup,
}

/// What a page is made of.
pub(crate) struct Page<'a> {
    /// The name of the lab.
    pub(crate) name: &'a str,
    /// The command that makes the same run again.
    pub(crate) command: String,
    /// The runs: one, or one a mode.
    pub(crate) views: Vec<View<'a>>,
    /// The comparison of the modes.
    pub(crate) comparison: Option<&'a Comparison>,
    /// The report, or the comparison, as it is printed with `--json`.
    pub(crate) json: &'a str,
}

impl Page<'_> {
    /// The page.
    pub(crate) fn to_html(&self) -> String {
        let Some(first) = self.views.first() else { return String::new() };
        let layout = Layout::new(first.lab);
        let checks = || self.views.iter().flat_map(|view| &view.report.checks);
        let failed = checks().filter(|check| !check.ok).count();
        let title = format!("Lab {}", self.name);
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    (topology::shared(first.lab, &layout))
                    header {
                        h1 { (title) }
                        p {
                            @if failed == 0 { span class="verdict good" { "all " (checks().count()) " checks hold" } }
                            @else { span class="verdict bad" { (failed) " of " (checks().count()) " checks FAILED" } }
                        }
                        (self.facts(first))
                        nav {
                            @if self.comparison.is_some() { a href="#comparison" { "Comparison" } }
                            a href="#checks" { "Checks" }
                            a href="#interruptions" { "Interruptions" }
                            a href="#run" { "The run" }
                            a href="#tables" { "Tables" }
                            a href="#movements" { "Movement by movement" }
                        }
                    }
                    @if let Some(comparison) = self.comparison {
                        h2 id="comparison" { "Comparison of the modes" }
                        (table(&comparison.rows(), &[0, 1, 2], &["lost", "dup"], |_| None))
                        p.note { (comparison::LEGEND) }
                    }
                    h2 id="checks" { "Checks" }
                    @for view in &self.views {
                        @if let Some(mode) = view.mode { h3 { (mode) } }
                        (check_list(&view.report.checks))
                    }
                    h2 id="interruptions" { "Interruptions" }
                    p.note { "How many movements interrupted the packets to the terminal for how long. " a href="#tables" { "Each in the table." } }
                    (histogram::histogram(&self.views))
                    h2 id="run" { "The run" }
                    (run_legend())
                    @for view in &self.views {
                        @if let Some(mode) = view.mode { h3 { (mode) } }
                        div.scroll { (timeline::run(view.closeup, &view.report.handovers)) }
                    }
                    h2 id="tables" { "Tables" }
                    @for view in &self.views { (tables(view)) }
                    h2 id="movements" { "Movement by movement" }
                    (self.movements(&layout))
                    @if self.json.len() <= MAX_JSON {
                        script type="application/json" id="report" { (PreEscaped(in_script(self.json))) }
                    }
                }
            }
        };
        page.into_string()
    }

    fn facts(&self, first: &View<'_>) -> Markup {
        let backend = match first.report.backend {
            "sim" => "simulation, virtual clock",
            _ => "network namespaces, AF_XDP",
        };
        let modes: Vec<&str> = self.views.iter().filter_map(|view| view.mode).collect();
        html! {
            dl.facts {
                div { dt { "backend" } dd { (first.report.backend) ": " (backend) } }
                div { dt { "seed" } dd { (first.report.seed) } }
                @if !modes.is_empty() { div { dt { "modes" } dd { (modes.join(", ")) } } }
                div { dt { "nodes" } dd { (first.report.nodes.len()) } }
                div { dt { "movements" } dd { (first.report.handovers.len()) } }
                div { dt { "traffic" } dd { (first.closeup.duration.as_secs_f64()) " s" } }
                div { dt { "the run again" } dd { code { (self.command) } } }
            }
        }
    }

    fn movements(&self, layout: &Layout) -> Markup {
        let shown = |index: usize| self.views.iter().any(|view| view.movement(index).is_some());
        let count = self.views.iter().map(|view| view.report.handovers.len()).max().unwrap_or(0);
        let cost = |index: usize| {
            let handovers = self.views.iter().filter_map(|view| view.report.handovers.get(index));
            handovers.map(|h| (h.lost + h.duplicated, h.interruption_us)).max()
        };
        let mut indices: Vec<usize> = (0..count).filter(|&index| shown(index)).collect();
        indices.sort_by_key(|&index| core::cmp::Reverse(cost(index)));
        indices.truncate(MAX_MOVEMENTS.div_ceil(self.views.len().max(1)));
        indices.sort_unstable();
        let first = indices.first().copied();
        html! {
            @if indices.len() < count {
                p.note { (count - indices.len()) " movements are left out: those that lost and doubled least, and interrupted for the shortest time." }
            }
            @if first.is_none() { p.note { "There were no movements." } }
            @for index in indices {
                details.movement name="movement" open[Some(index) == first] {
                    summary { (self.summary(index)) }
                    div.inside id={ "m" (index + 1) } {
                        @for view in &self.views {
                            @if let (Some(movement), Some(handover)) = (view.movement(index), view.report.handovers.get(index)) {
                                (panel(view, layout, movement, handover))
                            }
                        }
                    }
                }
            }
        }
    }

    /// A movement in a line; in several modes, what it cost in each.
    fn summary(&self, index: usize) -> Markup {
        let Some(handover) = self.views.iter().find_map(|view| view.report.handovers.get(index)) else {
            return html! {};
        };
        html! {
            span.no { (index + 1) }
            span { (seconds(handover)) }
            span { (handover.terminal) ": " (from(handover)) " → " (handover.to) }
            span.note { (handover.kind) ", " (order(handover.make_before_break)) }
            span.end {
                @for view in &self.views {
                    @if let Some(handover) = view.report.handovers.get(index) {
                        @let class = if handover.lost + handover.duplicated > 0 { "bad" } else { "good" };
                        @if let Some(mode) = view.mode { span.note { " " (mode) " " } }
                        span class=(class) { (millis(handover.interruption_us)) ", " (handover.lost) " lost " }
                    }
                }
            }
        }
    }
}

impl View<'_> {
    fn movement(&self, index: usize) -> Option<&Movement> {
        self.closeup.movements.iter().find(|movement| movement.index == index)
    }
}

/// All of a movement in one mode.
fn panel(view: &View<'_>, layout: &Layout, movement: &Movement, handover: &Handover) -> Markup {
    let title = format!("paths of packets before and after movement {}", movement.index + 1);
    let messages = html! {
        figure {
            h4 { "Messages" }
            (ladder::ladder(view.lab, layout, movement, handover))
            figcaption { (ladder::legend()) }
        }
        (ladder::decoded(view.lab, movement))
    };
    html! {
        @if let Some(mode) = view.mode { h3 { (mode) ": " (millis(handover.interruption_us)) ", " (handover.lost) " lost, " (handover.duplicated) " twice" } }
        div.pair {
            figure {
                h4 { "Paths" }
                div.scroll { (topology::drawing(view.lab, layout, &movement.ways, &title)) }
                figcaption { (topology::legend(from(handover), &handover.to)) }
            }
            figure {
                h4 { "Packets: " (handover.sent) " sent until the next movement, " (handover.lost) " lost, " (handover.duplicated) " twice, " (handover.reordered) " overtaken" }
                @match &movement.packets {
                    Some(window) => (timeline::window(window, handover)),
                    None => p.note { "No flow with numbers goes to this terminal." },
                }
            }
        }
        @if view.mode.is_some() { details { summary { "Messages" } (messages) } } @else { (messages) }
    }
}

fn run_legend() -> Markup {
    let tick = |class: &str| {
        html! { svg width="8" height="16" aria-hidden="true" { path class=(class) d="M4 1V15" {} } }
    };
    html! {
        div class="legend note" {
            span { svg width="16" height="12" aria-hidden="true" { rect class="run" width="16" height="12" {} } "delivered, of what was sent in that part of the run" }
            span { (tick("lost")) "some lost" }
            span { (tick("twice")) "some delivered again" }
            span { (tick("late")) "some overtaken" }
        }
    }
}

fn check_list(checks: &[Check]) -> Markup {
    html! {
        ul.checks {
            @for check in checks {
                li {
                    @if check.ok { b.good { "ok" } } @else { b.bad { "FAIL" } }
                    span { b { (check.name) } ": " (check.detail) }
                }
            }
        }
    }
}

fn tables(view: &View<'_>) -> Markup {
    let report = view.report;
    let link = |row: usize| Some(view.movement(row).map(|_| format!("#m{}", row + 1)));
    let costs = ["lost", "dup", "reord", "duplicated"];
    let inside = html! {
        h3 { "Movements" }
        (table(&report.handover_rows(), &[1, 2, 3, 4], &costs, link))
        @for line in report::HANDOVER_LEGEND.lines() { p.note { (line) } }
        h3 { "Flows" }
        (table(&report.flow_rows(), &[0, 1], &costs, |_| None))
        h3 { "Nodes" }
        p {
            @for (index, node) in report.nodes.iter().enumerate() {
                @if index > 0 { " · " }
                b { (node.name) } " " span.note { (node.role) }
            }
        }
    };
    match view.mode {
        Some(mode) => html! { details { summary { b { (mode) } } (inside) } },
        None => inside,
    }
}

/// A table of text whose first row are its heads. Columns of text are on the left; in those that count what should not
/// be, what is not zero is marked. Rows have numbers where `link` says so, and those lead to the place that it names.
fn table<const N: usize>(
    rows: &[[String; N]],
    text: &[usize],
    costs: &[&str],
    link: impl Fn(usize) -> Option<Option<String>>,
) -> Markup {
    let Some((heads, rows)) = rows.split_first() else { return html! {} };
    let class = |column: usize, cell: &str, is_head: bool| {
        if text.contains(&column) {
            Some("text")
        } else if !is_head && costs.contains(&heads[column].as_str()) && cell != "0" {
            Some("cost")
        } else {
            None
        }
    };
    html! {
        div.scroll {
            table {
                thead { tr { @if link(0).is_some() { th { "#" } } @for (column, head) in heads.iter().enumerate() { th class=[class(column, head, true)] { (head) } } } }
                tbody {
                    @for (index, row) in rows.iter().take(MAX_ROWS).enumerate() {
                        tr {
                            @match link(index) {
                                Some(Some(place)) => td { a href=(place) { (index + 1) } },
                                Some(None) => td { (index + 1) },
                                None => {}
                            }
                            @for (column, cell) in row.iter().enumerate() { td class=[class(column, cell, false)] { (cell) } }
                        }
                    }
                }
            }
        }
        @if rows.len() > MAX_ROWS {
            p.note { (rows.len() - MAX_ROWS) " more rows are left out; " code { "--json" } " prints all." }
        }
    }
}

fn from(handover: &Handover) -> &str {
    if handover.from.is_empty() { "-" } else { &handover.from }
}

fn seconds(handover: &Handover) -> String {
    format!("{:.3} s", handover.at_us as f64 / 1e6)
}

fn millis(micros: u64) -> String {
    format!("{:.3} ms", micros as f64 / 1e3)
}

/// JSON that no browser takes for the end of what it is in, and that is the same JSON.
fn in_script(json: &str) -> String {
    json.replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::lab::load_lab;
    use crate::lab::comparison::Run;
    use crate::lab::{Backend, run_closely};
    use std::path::Path;
    use std::sync::OnceLock;
    use std::sync::atomic::AtomicBool;

    /// A run with little in it, in which names and details are what they should not be.
    fn ran() -> &'static (Lab, Report, Closeup) {
        static RAN: OnceLock<(Lab, Report, Closeup)> = OnceLock::new();
        RAN.get_or_init(|| {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/lab/fig8.toml");
            let mut lab = load_lab(&file).expect("a shipped lab");
            lab.flows.truncate(2);
            let (mut report, closeup) =
                run_closely(&lab, Backend::Sim, 8, None, &AtomicBool::new(false)).expect("it runs");
            report.checks[0].detail = "<b>a & \"b\"</b></script>".to_owned();
            (lab, report, closeup)
        })
    }

    fn page_of(report: &Report, modes: &[&str]) -> String {
        let (lab, _, closeup) = ran();
        let runs = modes.iter().map(|mode| Run { mode: (*mode).to_owned(), report: report.clone() });
        let comparison = Comparison::new(runs.collect());
        let json = serde_json::to_string(report).expect("a report is JSON");
        let views = match modes {
            [] => vec![View { mode: None, lab, report, closeup }],
            modes => modes.iter().map(|&mode| View { mode: Some(mode), lab, report, closeup }).collect(),
        };
        let comparison = (!modes.is_empty()).then_some(&comparison);
        let command = "drover lab x.toml --sim --seed 8".to_owned();
        Page { name: "<i>fig8</i>", command, views, comparison, json: &json }.to_html()
    }

    /// Every element that begins ends, in order; attributes are quoted; no sign that means something stands in text.
    fn assert_well_formed(page: &str) {
        const VOID: [&str; 2] = ["meta", "link"];
        let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("a page begins with its type");
        let mut open: Vec<String> = Vec::new();
        while let Some(start) = rest.find('<') {
            let (text, tag) = rest.split_at(start);
            let is_raw = open.last().is_some_and(|name| name == "style" || name == "script");
            for entity in text.split('&').skip(1).filter(|_| !is_raw) {
                let name = entity.split(';').next().unwrap_or_default();
                assert!(["amp", "lt", "gt", "quot"].contains(&name), "&{name}");
            }
            assert!(is_raw || !text.contains('>'), "{text}");
            let end = tag.find('>').expect("a tag ends");
            let inside = &tag[1..end];
            assert!(inside.matches('"').count() % 2 == 0, "{inside}");
            let name: String = inside.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
            if inside.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "{inside}");
            } else if !VOID.contains(&name.as_str()) {
                open.push(name);
            }
            rest = &tag[end + 1..];
        }
        assert_eq!((open.len(), rest.trim()), (0, ""));
    }

    #[test]
    fn pages_are_well_formed_whatever_they_show() {
        let (_, report, _) = ran();
        for modes in [&[][..], &["multicast", "<mode>"]] {
            let page = page_of(report, modes);
            assert_well_formed(&page);
            assert!(page.contains("<h1>Lab &lt;i&gt;fig8&lt;/i&gt;</h1>"));
            assert!(page.contains("&lt;b&gt;a &amp; &quot;b&quot;&lt;/b&gt;&lt;/script&gt;"));
            assert_eq!(page.matches("<details class=\"movement\"").count(), 4);
            assert_eq!(page.matches("comparison").count() > 0, !modes.is_empty());
        }
    }

    #[test]
    #[should_panic(expected = "assertion")]
    fn what_is_not_well_formed_is_seen() {
        assert_well_formed("<!DOCTYPE html><p><b></p></b>");
    }

    #[test]
    fn pages_need_nothing_else() {
        let page = page_of(&ran().1, &["multicast", "mipv6"]).replace("</script>", "");
        let own = page.replace("href=\"#", "").replace("url(#", "").replace("<script type=\"application/json\"", "");
        for word in ["http", "//", "<script", "<link", "<img", "src=", "href", "@import", "url(", "onload", "onclick"] {
            assert!(!own.contains(word), "{word}");
        }
        for place in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(page.contains(&format!("id=\"{place}\"")), "{place}");
        }
        for place in page.split("url(#").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(page.contains(&format!("id=\"{place}\"")), "{place}");
        }
    }

    #[test]
    fn pages_say_what_the_report_says() {
        let (_, report, _) = ran();
        let page = page_of(report, &[]);
        for cell in report.handover_rows().iter().skip(1).flatten() {
            let cell = cell.replace('>', "&gt;");
            assert!(page.contains(&format!(">{cell}</td>")), "{cell}");
        }
        assert!(page.contains(&format!("all {} checks hold", report.checks.len())));
        let (_, json) = page.split_once("id=\"report\">").expect("the report is there");
        let (json, _) = json.split_once("</script>").expect("it ends");
        let held: serde_json::Value = serde_json::from_str(json).expect("it is JSON");
        assert_eq!(held, serde_json::to_value(report).expect("a report is JSON"));

        let mut failed = report.clone();
        failed.checks[1].ok = false;
        let page = page_of(&failed, &[]);
        assert!(page.contains(&format!("1 of {} checks FAILED", report.checks.len())));
        assert_eq!(page.matches("<b class=\"bad\">FAIL</b>").count(), 1);
    }

    #[test]
    fn pages_of_long_runs_have_an_end() {
        let (_, report, _) = ran();
        let mut long = report.clone();
        for number in 0..100_000 {
            long.handovers.push(Handover { at_us: 9_000_000 + number, ..report.handovers[0].clone() });
        }
        let page = page_of(&long, &["multicast", "hmipv6", "mipv6"]);
        assert!(page.len() < 3_000_000, "{}", page.len());
        assert!(page.contains("100000 movements are left out") && page.contains("99004 more rows are left out"));
        assert!(!page.contains("id=\"report\""));
    }
}

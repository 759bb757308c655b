//! A run as one page of HTML that needs nothing else: no script, no style sheet, no font, no picture from anywhere.

use crate::chart::{Chart, Kind};
use crate::report::{Line, Report};
use crate::statistics::Spread;
use anyhow::Result;
use serde::Serialize;
use std::fmt::Write;

const STYLE: &str = "body{font:15px/1.4 sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;color:#222}\
    table{border-collapse:collapse;font-size:13px}td,th{padding:2px 8px;text-align:right;border-bottom:1px solid #ddd}\
    td:first-child,th:first-child{text-align:left}svg{max-width:100%;height:auto}p{margin:.4em 0}.bad{color:#b00}";

/// The page of a run. All of it is well-formed XML too.
pub(crate) fn page<Method: Serialize, More: Serialize>(
    report: &Report<Method, More>,
    charts: &[Chart],
) -> Result<String> {
    let title = format!("bench {}", report.benchmark);
    let mut page = String::from("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n");
    writeln!(page, "<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>")?;
    let class = if report.machine.is_optimised() { "machine" } else { "bad" };
    writeln!(page, "<p class=\"{class}\">{}</p>", escaped(&report.machine.to_string()))?;
    writeln!(page, "<p>{}</p>", escaped(&report.calibration.to_string()))?;
    writeln!(page, "<p>method: {}</p>", escaped(&serde_json::to_string(&report.method)?))?;
    for chart in charts {
        let inside = match &chart.kind {
            Kind::Table { heads, rows } => cells(heads, rows)?,
            Kind::Curves { .. } | Kind::Timeline { .. } => chart.svg()?,
        };
        writeln!(page, "<h2>{}</h2>\n{inside}", escaped(&chart.title))?;
    }
    writeln!(page, "<h2>Results</h2>\n{}</body>\n</html>", table(&report.results)?)?;
    Ok(page)
}

fn table<More>(lines: &[Line<More>]) -> Result<String> {
    let heads = [
        "path",
        "entries",
        "groups",
        "branches",
        "octets",
        "distribution",
        "ns",
        "min",
        "max",
        "instructions",
        "allocations",
    ];
    let row = |line: &Line<More>| {
        let Spread { median, min, max } = line.ns_per_packet;
        let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
        vec![
            line.path.clone(),
            line.entries.to_string(),
            line.groups.to_string(),
            line.branches.to_string(),
            line.packet_octets.map_or("-".to_owned(), |octets| octets.to_string()),
            line.distribution.clone(),
            format!("{median:.1}"),
            format!("{min:.1}"),
            format!("{max:.1}"),
            number(line.instructions_per_packet),
            format!("{}", line.allocations_per_packet),
        ]
    };
    cells(&heads, &lines.iter().map(row).collect::<Vec<_>>())
}

/// A table of text.
fn cells(heads: &[&str], rows: &[Vec<String>]) -> Result<String> {
    let mut table = String::from("<table>\n<tr>");
    for head in heads {
        write!(table, "<th>{}</th>", escaped(head))?;
    }
    table.push_str("</tr>\n");
    for row in rows {
        table.push_str("<tr>");
        for cell in row {
            write!(table, "<td>{}</td>", escaped(cell))?;
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</table>\n");
    Ok(table)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::Probes;
    use crate::chart::{Axis, Curve, Row, Scale};
    use crate::machine::Machine;

    fn sample() -> String {
        let mut probes = Probes::new();
        probes.probe();
        let line = |path: &str| Line {
            path: path.to_owned(),
            entries: 1,
            groups: 0,
            branches: 1,
            packet_octets: None,
            distribution: "uniform".to_owned(),
            ns_per_packet: Spread { median: 2.0, min: 1.0, max: 3.0 },
            instructions_per_packet: None,
            allocations_per_packet: 0.0,
            packets: 5,
            more: (),
        };
        let report = Report {
            benchmark: "pipeline",
            machine: Machine::here(),
            calibration: probes.finish(),
            method: "a < b & \"c\"",
            results: vec![line("a<b"), line("unicast")],
        };
        let axis = Axis { label: "ns", scale: Scale::Linear };
        let curve = Curve { name: "a<b".to_owned(), points: vec![(1.0, 2.0), (3.0, 4.0)] };
        let mut charts = Chart::curves("cost & size", axis, axis, vec![curve]);
        charts.push(Chart::timeline("stages", vec![Row { name: "r".to_owned(), stages: vec![("s".to_owned(), 1.0)] }]));
        charts.push(Chart::table("lost & found", vec!["a<b"], vec![vec!["1 & 2".to_owned()]]));
        page(&report, &charts).unwrap()
    }

    /// Every element that begins ends, in order; attributes are quoted; no sign that means something stands in text.
    fn assert_well_formed(page: &str) {
        let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("a page begins with its type");
        let mut open = Vec::new();
        while let Some(start) = rest.find('<') {
            let (text, tag) = rest.split_at(start);
            for entity in text.split('&').skip(1) {
                let name = entity.split(';').next().unwrap();
                assert!(["amp", "lt", "gt", "quot", "apos"].contains(&name), "&{name}");
            }
            assert!(!text.contains('>') || open.last() == Some(&"style".to_owned()), "{text}");
            let end = tag.find('>').expect("a tag ends");
            let inside = &tag[1..end];
            assert!(inside.matches('"').count() % 2 == 0, "{inside}");
            let name: String =
                inside.trim_start_matches('/').chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
            if inside.starts_with('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !inside.ends_with('/') {
                open.push(name);
            }
            rest = &tag[end + 1..];
        }
        assert_eq!((open.len(), rest.trim()), (0, ""));
    }

    #[test]
    fn the_page_is_well_formed() {
        let page = sample();
        assert_well_formed(&page);
        assert_eq!(page.matches("<svg").count(), 2);
        assert!(page.contains("a&lt;b") && page.contains("cost &amp; size") && page.contains("<td>unicast</td>"));
        assert!(page.contains("<th>a&lt;b</th>") && page.contains("<td>1 &amp; 2</td>"));
    }

    #[test]
    #[should_panic(expected = "assertion")]
    fn what_is_not_well_formed_is_seen() {
        assert_well_formed("<!DOCTYPE html><p><b></p></b>");
    }

    #[test]
    fn the_page_needs_nothing_else() {
        // The only address is the name of the vocabulary of SVG, which nobody opens.
        let page = sample().replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        for word in ["http", "//", "<script", "<link", "<img", "src=", "href", "@import", "url("] {
            assert!(!page.contains(word), "{word}");
        }
    }
}

//! Drawings of results, as SVG: curves of points, and stages one after the other; and tables of what is better read.

use anyhow::{Result, anyhow};
use core::ops::Range;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;

/// Pixels of a drawing.
const SIZE: (u32, u32) = (960, 440);
/// Where curves end and their names begin.
const NAMES_AT: u32 = 660;
/// Pixels from one name to the next.
const NAME_HEIGHT: i32 = 24;
/// Pixels of a row of a timeline, and of the names on its left.
const ROW_HEIGHT: i32 = 70;
const ROW_NAME_WIDTH: i32 = 110;
const FONT: (&str, i32) = ("sans-serif", 14);
/// Colours, which differ in brightness too; the second time round points are open circles.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(90, 90, 90),
    RGBColor(120, 60, 20),
];
/// Curves of a drawing at the most: those that can be told apart.
const MAX_CURVES: usize = COLOURS.len() * 2;
/// The quantile at the end of an axis; what is closer to the maximum is drawn there.
const LAST_QUANTILE: f64 = 0.99999;

/// A drawing.
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) kind: Kind,
}

/// What is drawn.
pub(crate) enum Kind {
    /// Curves through points.
    Curves { x: Axis, y: Axis, curves: Vec<Curve> },
    /// Stages of events, one after the other.
    Timeline { rows: Vec<Row> },
    /// Cells in rows, under their heads.
    Table { heads: Vec<&'static str>, rows: Vec<Vec<String>> },
}

/// An axis.
#[derive(Clone, Copy)]
pub(crate) struct Axis {
    pub(crate) label: &'static str,
    pub(crate) scale: Scale,
}

/// How an axis grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scale {
    /// From zero.
    Linear,
    /// By powers of ten.
    Logarithmic,
    /// By quantile: as much room from 0.9 to 0.99 as from 0.99 to 0.999.
    Quantile,
}

/// A curve.
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// A row of a timeline.
pub(crate) struct Row {
    pub(crate) name: String,
    /// Names of the stages, and microseconds of each.
    pub(crate) stages: Vec<(String, f64)>,
}

impl Chart {
    /// Charts of so many curves as can be told apart, in as many drawings as that takes; none without points.
    pub(crate) fn curves(title: &str, x: Axis, y: Axis, mut curves: Vec<Curve>) -> Vec<Chart> {
        curves.retain(|curve| !curve.points.is_empty());
        let mut charts = Vec::new();
        while !curves.is_empty() {
            let rest = curves.split_off(curves.len().min(MAX_CURVES));
            let title = if charts.is_empty() { title.to_owned() } else { format!("{title}, continued") };
            charts.push(Chart { title, kind: Kind::Curves { x, y, curves } });
            curves = rest;
        }
        charts
    }

    /// A timeline.
    pub(crate) fn timeline(title: &str, rows: Vec<Row>) -> Chart {
        Chart { title: title.to_owned(), kind: Kind::Timeline { rows } }
    }

    /// A table.
    pub(crate) fn table(title: &str, heads: Vec<&'static str>, rows: Vec<Vec<String>>) -> Chart {
        Chart { title: title.to_owned(), kind: Kind::Table { heads, rows } }
    }

    /// The drawing as an `svg` element; none of a table.
    pub(crate) fn svg(&self) -> Result<String> {
        let mut text = String::new();
        let drawn = match &self.kind {
            Kind::Table { .. } => Ok(()),
            Kind::Curves { x, y, curves } => {
                let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
                draw_curves(&area, (*x, *y), curves).and_then(|()| area.present())
            }
            Kind::Timeline { rows } => {
                let size = (SIZE.0, (rows.len() as i32 * ROW_HEIGHT + 40) as u32);
                let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
                draw_timeline(&area, rows).and_then(|()| area.present())
            }
        };
        drawn.map_err(|error| anyhow!("cannot draw {}: {error}", self.title))?;
        Ok(text)
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = core::result::Result<(), DrawingAreaErrorKind<std::io::Error>>;

fn draw_curves(area: &Area<'_>, (x, y): (Axis, Axis), curves: &[Curve]) -> Drawn {
    let (left, right) = area.split_horizontally(NAMES_AT);
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let (x_ticks, y_ticks) =
        (Ticks::new(x.scale, points().map(|point| point.0)), Ticks::new(y.scale, points().map(|point| point.1)));
    let mut chart = ChartBuilder::on(&left)
        .margin(12)
        .x_label_area_size(45)
        .y_label_area_size(70)
        .build_cartesian_2d(x_ticks, y_ticks)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(x.label)
        .y_desc(y.label)
        .label_style(FONT)
        .axis_desc_style(FONT)
        .draw()?;
    for (index, curve) in curves.iter().enumerate() {
        let (line, point) = style(index);
        chart.draw_series(LineSeries::new(curve.points.iter().copied(), line))?;
        chart.draw_series(curve.points.iter().map(|&at| Circle::new(at, 4, point)))?;
        let top = 20 + index as i32 * NAME_HEIGHT;
        right.draw(&PathElement::new([(0, top), (24, top)], line))?;
        right.draw(&Circle::new((12, top), 4, point))?;
        right.draw(&Text::new(curve.name.clone(), (32, top - 6), FONT))?;
    }
    Ok(())
}

/// How a curve and its points are drawn.
fn style(index: usize) -> (ShapeStyle, ShapeStyle) {
    let colour = COLOURS[index % COLOURS.len()];
    (colour.stroke_width(2), if index < COLOURS.len() { colour.filled() } else { colour.stroke_width(1) })
}

fn draw_timeline(area: &Area<'_>, rows: &[Row]) -> Drawn {
    let end = rows.iter().map(|row| row.stages.iter().map(|stage| stage.1).sum()).fold(0.0, f64::max);
    let width = SIZE.0 as i32 - ROW_NAME_WIDTH - 20;
    let at = |time: f64| ROW_NAME_WIDTH + (if end > 0.0 { time / end } else { 0.0 } * f64::from(width)) as i32;
    let mut names: Vec<&str> = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let top = 10 + index as i32 * ROW_HEIGHT;
        area.draw(&Text::new(row.name.clone(), (4, top + 12), FONT))?;
        let mut time = 0.0;
        for (name, length) in &row.stages {
            let colour = match names.iter().position(|other| other == name) {
                Some(known) => known,
                None => {
                    names.push(name);
                    names.len() - 1
                }
            };
            let place = [(at(time), top), (at(time + length), top + 30)];
            area.draw(&Rectangle::new(place, COLOURS[colour % COLOURS.len()].filled()))?;
            area.draw(&Text::new(format!("{name} {length:.1}"), (at(time) + 2, top + 36), FONT))?;
            time += length;
        }
    }
    area.draw(&Text::new(
        format!("0 to {end:.1} microseconds"),
        (ROW_NAME_WIDTH, 10 + rows.len() as i32 * ROW_HEIGHT),
        FONT,
    ))
}

/// An axis with its range and the values that have a label.
struct Ticks {
    scale: Scale,
    range: Range<f64>,
    values: Vec<f64>,
}

impl Ticks {
    /// An axis on which all of `values` have a place.
    fn new(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let (least, most) =
            values.fold((f64::INFINITY, 0.0f64), |(least, most), value| (least.min(value), most.max(value)));
        match scale {
            Scale::Linear => {
                // Four to nine steps of 1, 2 or 5 times a power of ten.
                let most = if most > 0.0 { most } else { 1.0 };
                let power = 10f64.powf((most / 4.0).log10().floor());
                let step = [5.0, 2.0, 1.0].map(|times| times * power).into_iter().find(|step| most / step >= 4.0);
                let step = step.unwrap_or(power);
                let count = (most / step).ceil() as u32;
                let values = (0..=count).map(|number| f64::from(number) * step).collect();
                Ticks { scale, range: 0.0..f64::from(count) * step, values }
            }
            Scale::Logarithmic => {
                let power = |value: f64| if value > 0.0 { value.log10() } else { 0.0 };
                let first = power(least).floor() as i32;
                let last = (power(most).ceil() as i32).max(first + 1);
                let values = (first..=last).map(|exponent| 10f64.powi(exponent)).collect();
                Ticks { scale, range: 10f64.powi(first)..10f64.powi(last), values }
            }
            Scale::Quantile => Ticks {
                scale,
                range: 0.0..LAST_QUANTILE,
                values: vec![0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, LAST_QUANTILE],
            },
        }
    }

    /// Where a value stands, so that equal distances are equally long.
    fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.max(self.range.start).log10(),
            Scale::Quantile => -(1.0 - value.min(LAST_QUANTILE)).log10(),
        }
    }
}

impl Ranged for Ticks {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let (start, end) = (self.place(self.range.start), self.place(self.range.end));
        let part = (self.place(*value) - start) / (end - start);
        limit.0 + (part * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let every = self.values.len().div_ceil(hint.bold_points().max(1));
        self.values.iter().copied().step_by(every.max(1)).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Ticks {
    fn format_ext(&self, &value: &f64) -> String {
        match self.scale {
            Scale::Quantile if value == LAST_QUANTILE => "max".to_owned(),
            Scale::Quantile => format!("{}", (value * 1e6).round() / 1e6),
            _ if value >= 1e6 => format!("{} M", (value / 1e3).round() / 1e3),
            _ if value >= 1e4 => format!("{} k", value.round() / 1e3),
            // What adding steps has rounded is not shown.
            _ => format!("{}", (value * 1e9).round() / 1e9),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: Axis = Axis { label: "entries", scale: Scale::Logarithmic };
    const Y: Axis = Axis { label: "ns", scale: Scale::Linear };

    fn curve(name: &str, points: &[(f64, f64)]) -> Curve {
        Curve { name: name.to_owned(), points: points.to_vec() }
    }

    #[test]
    fn every_value_has_a_place_on_its_axis() {
        for scale in [Scale::Linear, Scale::Logarithmic, Scale::Quantile] {
            for values in [vec![0.0], vec![1.0], vec![0.999_999, 0.5], vec![0.004, 0.3], vec![0.0, 0.1, 1.0]] {
                let ticks = Ticks::new(scale, values.iter().copied());
                for value in values {
                    let place = ticks.map(&value, (0, 1000));
                    assert!((0..=1000).contains(&place), "{value} is at {place} of a {scale:?} axis");
                }
            }
        }
        for most in [0.7, 1.0, 3.0, 8.1, 99.0, 100.0, 12_345.0] {
            let ticks = Ticks::new(Scale::Linear, [most].into_iter());
            assert!((5..=11).contains(&ticks.values.len()), "{most} has {:?}", ticks.values);
            assert!(ticks.range.end >= most && ticks.map(&most, (0, 1000)) > 500);
        }
    }

    #[test]
    fn labels() {
        let ticks = Ticks::new(Scale::Logarithmic, [1.0, 3e6].into_iter());
        let labels: Vec<_> = ticks.values.iter().map(|value| ticks.format_ext(value)).collect();
        assert_eq!(labels, ["1", "10", "100", "1000", "10 k", "100 k", "1 M", "10 M"]);
        let ticks = Ticks::new(Scale::Quantile, [0.5].into_iter());
        let labels: Vec<_> = ticks.values.iter().map(|value| ticks.format_ext(value)).collect();
        assert_eq!(labels, ["0", "0.5", "0.9", "0.99", "0.999", "0.9999", "max"]);
    }

    #[test]
    fn curves_have_their_names_beside_them() {
        let curves =
            vec![curve("one <&>", &[(1.0, 30.0), (1e6, 90.0)]), curve("two", &[(1.0, 20.0)]), curve("no", &[])];
        let charts = Chart::curves("cost", X, Y, curves);
        assert_eq!(charts.len(), 1);
        let svg = charts[0].svg().unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(svg.contains("one &lt;&amp;&gt;") && svg.contains("two") && svg.contains("entries"));
        assert!(Chart::curves("cost", X, Y, vec![curve("no", &[])]).is_empty());
    }

    #[test]
    fn more_curves_than_can_be_told_apart_take_more_drawings() {
        let curves = (0..MAX_CURVES + 3).map(|number| curve(&format!("{number}"), &[(1.0, 1.0)])).collect();
        let charts = Chart::curves("cost", X, Y, curves);
        assert_eq!(charts.iter().map(|chart| &chart.title).collect::<Vec<_>>(), ["cost", "cost, continued"]);
        charts.iter().for_each(|chart| assert!(chart.svg().unwrap().contains("</svg>")));
    }

    #[test]
    fn a_timeline_is_as_long_as_its_longest_row() {
        let row = |name: &str, stages: &[(&str, f64)]| Row {
            name: name.to_owned(),
            stages: stages.iter().map(|&(name, length)| (name.to_owned(), length)).collect(),
        };
        let rows = vec![row("arrival", &[("access", 4.0), ("core", 3.0)]), row("handover", &[("access", 4.5)])];
        let svg = Chart::timeline("stages", rows).svg().unwrap();
        assert!(svg.contains("access 4.0") && svg.contains("core 3.0") && svg.contains("0 to 7.0 microseconds"));
        assert!(Chart::timeline("nothing", vec![row("none", &[])]).svg().unwrap().contains("none"));
    }
}

//! Where the nodes and links of a lab stand on a drawing: from its correspondents on the left to its terminals on the
//! right, each as many columns from the first correspondent as it has links to it, the nodes of a site side by side.
//!
//! Links with more than two ends are places of their own. What is drawn is the tree of shortest ways and, across it, the
//! links that are not in it. Nothing stands on anything else.

use crate::config::lab::{Endpoint, Lab, LabLinkKind, LinkIndex};
use crate::lab::observe::Station;
use std::collections::{BTreeMap, VecDeque};

/// Pixels of a node's height, and of a link's that is a place.
pub(super) const NODE_HEIGHT: f64 = 36.0;
pub(super) const LINK_HEIGHT: f64 = 24.0;
/// Pixels from one row to the next, and from one column to the next beside the widest of it.
const ROW_HEIGHT: f64 = 52.0;
const COLUMN_GAP: f64 = 30.0;
/// Rows between two sites.
const SITE_GAP: f64 = 0.5;
/// Pixels around all.
const MARGIN: f64 = 14.0;
/// Pixels of a letter of a name, and of a smaller one.
const LETTER: f64 = 7.4;
const SMALL_LETTER: f64 = 5.7;
/// Letters that are shown of a name.
pub(super) const MAX_LETTERS: usize = 18;

/// What has a place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Thing {
    /// A node or a host.
    Station(Station),
    /// A link with any number of ends.
    Link(LinkIndex),
}

/// A place.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Place {
    pub(super) thing: Thing,
    /// Counted from the left.
    pub(super) column: usize,
    /// Its middle.
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    /// What is written there, and smaller below it.
    pub(super) name: String,
    pub(super) role: String,
}

/// The ground of a site.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Site {
    pub(super) name: String,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A drawing of a lab.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Layout {
    pub(super) places: Vec<Place>,
    /// Grounds that do not lie on each other.
    pub(super) sites: Vec<Site>,
    /// The two ends of every line: a link between two nodes, or an end of one that is a place.
    pub(super) lines: Vec<(Thing, Thing, LinkIndex)>,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Layout {
    pub(super) fn new(lab: &Lab) -> Self {
        let graph = Graph::new(lab);
        let mut tree = Tree::new(lab, &graph);
        tree.settle(lab, &graph);
        let mut places: Vec<Place> =
            tree.at.iter().map(|(&thing, &(column, row))| place(lab, thing, column, row)).collect();
        keep_apart(&mut places);
        let columns = places.iter().map(|place| place.column + 1).max().unwrap_or(0);
        let mut left = MARGIN;
        for column in 0..columns {
            let widest =
                places.iter().filter(|place| place.column == column).map(|place| place.width).fold(0.0, f64::max);
            places.iter_mut().filter(|place| place.column == column).for_each(|place| place.x = left + widest / 2.0);
            left += widest + COLUMN_GAP;
        }
        let height = places.iter().map(|place| place.y + place.height / 2.0).fold(0.0, f64::max) + MARGIN;
        let sites = sites(lab, &places);
        Layout { sites, lines: graph.lines, width: left - COLUMN_GAP + MARGIN, height, places }
    }

    pub(super) fn place(&self, thing: Thing) -> Option<&Place> {
        self.places.iter().find(|place| place.thing == thing)
    }

    /// The stations from left to right, and from top to bottom.
    pub(super) fn stations(&self) -> Vec<Station> {
        let mut stations: Vec<(usize, f64, Station)> = self
            .places
            .iter()
            .filter_map(|place| match place.thing {
                Thing::Station(station) => Some((place.column, place.y, station)),
                Thing::Link(_) => None,
            })
            .collect();
        stations.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        stations.into_iter().map(|(_, _, station)| station).collect()
    }
}

/// Who is beside whom.
struct Graph {
    lines: Vec<(Thing, Thing, LinkIndex)>,
    neighbours: BTreeMap<Thing, Vec<Thing>>,
}

impl Graph {
    fn new(lab: &Lab) -> Self {
        let mut lines = Vec::new();
        let stations: Vec<(Station, Vec<LinkIndex>)> =
            Station::all(lab).map(|station| (station, station.links(lab))).collect();
        for (index, link) in lab.links.iter().enumerate() {
            let link_index = LinkIndex(index);
            let ends = stations.iter().filter(|(_, links)| links.contains(&link_index));
            let ends: Vec<Thing> = ends.map(|&(station, _)| Thing::Station(station)).collect();
            match (link.kind, &ends[..]) {
                (LabLinkKind::PointToPoint, &[one, other]) => lines.push((one, other, link_index)),
                _ => lines.extend(ends.iter().map(|&end| (end, Thing::Link(link_index), link_index))),
            }
        }
        let mut neighbours = BTreeMap::<Thing, Vec<Thing>>::new();
        for &(station, _) in &stations {
            neighbours.entry(Thing::Station(station)).or_default();
        }
        for &(one, other, _) in &lines {
            neighbours.entry(one).or_default().push(other);
            neighbours.entry(other).or_default().push(one);
        }
        Graph { lines, neighbours }
    }

    fn of(&self, thing: Thing) -> &[Thing] {
        self.neighbours.get(&thing).map_or(&[], Vec::as_slice)
    }
}

/// The tree of shortest ways.
struct Tree {
    children: BTreeMap<Thing, Vec<Thing>>,
    roots: Vec<Thing>,
    /// Column and row.
    at: BTreeMap<Thing, (usize, f64)>,
    next_row: f64,
    last_site: Option<Option<String>>,
}

impl Tree {
    fn new(lab: &Lab, graph: &Graph) -> Self {
        let mut tree =
            Tree { children: BTreeMap::new(), roots: Vec::new(), at: BTreeMap::new(), next_row: 0.0, last_site: None };
        let sources = lab.flows.iter().flat_map(|flow| [flow.from, flow.to]).filter_map(|end| match end {
            Endpoint::Host(host) => u8::try_from(lab.nodes.len() + host.0).ok(),
            Endpoint::Node(node) => u8::try_from(node.0).ok(),
        });
        let starts = sources.map(Station).chain(Station::all(lab)).map(Thing::Station);
        for start in starts.chain(graph.neighbours.keys().copied()) {
            if tree.at.contains_key(&start) || is_terminal(lab, start) {
                continue;
            }
            tree.roots.push(start);
            tree.at.insert(start, (0, 0.0));
            let mut waiting = VecDeque::from([start]);
            while let Some(thing) = waiting.pop_front() {
                let column = tree.at.get(&thing).map_or(0, |at| at.0);
                for &next in graph.of(thing) {
                    if !is_terminal(lab, next) && !tree.at.contains_key(&next) {
                        tree.at.insert(next, (column + 1, 0.0));
                        tree.children.entry(thing).or_default().push(next);
                        waiting.push_back(next);
                    }
                }
            }
        }
        tree
    }

    /// Gives everything its row, and terminals and correspondents the columns that they are looked for in.
    fn settle(&mut self, lab: &Lab, graph: &Graph) {
        let sources: Vec<Thing> = lab
            .flows
            .iter()
            .filter_map(|flow| match flow.from {
                Endpoint::Host(host) => u8::try_from(lab.nodes.len() + host.0).ok(),
                Endpoint::Node(node) => u8::try_from(node.0).ok(),
            })
            .map(|station| Thing::Station(Station(station)))
            .filter(|&thing| graph.of(thing).len() == 1 && !is_terminal(lab, thing))
            .collect();
        // Further correspondents stand above, a column to the left of their router.
        for thing in &sources {
            if let Some(at) = self.at.get_mut(thing)
                && at.0 >= 2
            {
                at.0 -= 2;
            }
        }
        for children in self.children.values_mut() {
            children.sort_by_key(|child| (!sources.contains(child), site_of(lab, *child)));
        }
        for root in self.roots.clone() {
            self.rows(lab, &sources, root);
        }
        let is_radio = |thing: Thing| graph.of(thing).iter().any(|&end| is_terminal(lab, end));
        let radios: Vec<Thing> = self.at.keys().copied().filter(|&thing| is_radio(thing)).collect();
        let column = radios.iter().filter_map(|radio| Some(self.at.get(radio)?.0)).max().unwrap_or(0);
        for radio in &radios {
            if let (Thing::Link(_), Some(at)) = (radio, self.at.get_mut(radio)) {
                at.0 = column;
            }
        }
        for terminal in lab.terminals().filter_map(|node| u8::try_from(node.0).ok()) {
            let terminal = Thing::Station(Station(terminal));
            let rows: Vec<f64> = graph.of(terminal).iter().filter_map(|end| Some(self.at.get(end)?.1)).collect();
            let row = rows.iter().sum::<f64>() / rows.len().max(1) as f64;
            self.at.insert(terminal, (column + 1, row));
        }
    }

    /// The row of a thing: below all so far, or in the middle of what hangs on it.
    fn rows(&mut self, lab: &Lab, sources: &[Thing], thing: Thing) -> f64 {
        let children = self.children.get(&thing).cloned().unwrap_or_default();
        let rows: Vec<(bool, f64)> =
            children.into_iter().map(|child| (sources.contains(&child), self.rows(lab, sources, child))).collect();
        let below: Vec<f64> = rows.iter().filter(|(source, _)| !source).map(|&(_, row)| row).collect();
        let row = match (below.first(), below.last()) {
            (Some(first), Some(last)) => (first + last) / 2.0,
            _ => {
                let site = site_of(lab, thing);
                if self.last_site.as_ref().is_some_and(|last| *last != site) {
                    self.next_row += SITE_GAP;
                }
                self.last_site = Some(site);
                let row = self.next_row;
                self.next_row += 1.0;
                row
            }
        };
        if let Some(at) = self.at.get_mut(&thing) {
            at.1 = row;
        }
        row
    }
}

fn is_terminal(lab: &Lab, thing: Thing) -> bool {
    matches!(thing, Thing::Station(station) if station.terminal(lab).is_some())
}

/// The site that a thing is in: of a node with links in several, the first.
fn site_of(lab: &Lab, thing: Thing) -> Option<String> {
    match thing {
        Thing::Link(link) => lab.links[link.0].site.clone(),
        Thing::Station(station) => station.links(lab).into_iter().find_map(|link| lab.links[link.0].site.clone()),
    }
}

fn place(lab: &Lab, thing: Thing, column: usize, row: f64) -> Place {
    let (name, role, height) = match thing {
        Thing::Station(station) => (station.name(lab), role(lab, station), NODE_HEIGHT),
        Thing::Link(link) => (lab.links[link.0].name.as_str(), String::new(), LINK_HEIGHT),
    };
    let name = shortened(name);
    let letters = |text: &str| text.chars().count() as f64;
    let width = (letters(&name) * LETTER).max(letters(&role) * SMALL_LETTER) + 18.0;
    let y = MARGIN + 6.0 + NODE_HEIGHT / 2.0 + row * ROW_HEIGHT;
    Place { thing, column, x: 0.0, y, width: width.max(44.0), height, name, role }
}

/// A name that may be too long for a drawing.
pub(super) fn shortened(name: &str) -> String {
    if name.chars().count() <= MAX_LETTERS {
        return name.to_owned();
    }
    name.chars().take(MAX_LETTERS - 1).chain("…".chars()).collect()
}

/// What a node is, in words; that it routes too is said where it is nothing else.
fn role(lab: &Lab, station: Station) -> String {
    let Some(node) = lab.nodes.get(usize::from(station.0)) else { return "host".to_owned() };
    let words = node.config.roles().into_iter().filter_map(|role| match role {
        "mma" => Some("mobility agent"),
        "home-agent" => Some("home agent"),
        "access-router" => Some("access router"),
        "mobile-terminal" => Some("terminal"),
        "correspondent-node" => Some("correspondent"),
        _ => None,
    });
    let words: Vec<&str> = words.collect();
    match &words[..] {
        [] => "router".to_owned(),
        ["mobility agent", "home agent"] => "mobility + home agent".to_owned(),
        words => words.join(" + "),
    }
}

/// Moves down what would stand on something else of its column.
fn keep_apart(places: &mut [Place]) {
    places.sort_by(|a, b| a.column.cmp(&b.column).then(a.y.total_cmp(&b.y)));
    for index in 1..places.len() {
        let (above, below) = (&places[index - 1], &places[index]);
        if above.column == below.column {
            places[index].y = below.y.max(above.y + ROW_HEIGHT * 0.9);
        }
    }
}

fn sites(lab: &Lab, places: &[Place]) -> Vec<Site> {
    let mut grounds = BTreeMap::<String, (f64, f64, f64, f64)>::new();
    for place in places.iter().filter(|place| !is_terminal(lab, place.thing)) {
        let Some(site) = site_of(lab, place.thing) else { continue };
        let (left, right) = (place.x - place.width / 2.0, place.x + place.width / 2.0);
        let (top, bottom) = (place.y - place.height / 2.0, place.y + place.height / 2.0);
        let ground = grounds.entry(site).or_insert((left, top, right, bottom));
        *ground = (ground.0.min(left), ground.1.min(top), ground.2.max(right), ground.3.max(bottom));
    }
    let sites = grounds.into_iter().map(|(name, (left, top, right, bottom))| Site {
        name: shortened(&name),
        x: left - 9.0,
        y: top - 17.0,
        width: right - left + 18.0,
        height: bottom - top + 25.0,
    });
    let sites: Vec<Site> = sites.collect();
    let overlap =
        |a: &Site, b: &Site| a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
    let holds_a_stranger = |site: &Site| {
        places.iter().any(|place| {
            let inside =
                place.x > site.x && place.x < site.x + site.width && place.y > site.y && place.y < site.y + site.height;
            inside && site_of(lab, place.thing).map(|name| shortened(&name)).as_deref() != Some(site.name.as_str())
        })
    };
    let alone = |site: &Site| !sites.iter().any(|other| other.name != site.name && overlap(site, other));
    sites.iter().filter(|site| alone(site) && !holds_a_stranger(site)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::lab::load_lab;
    use std::path::Path;

    fn labs() -> Vec<Lab> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/lab");
        let files = std::fs::read_dir(directory).expect("labs").map(|entry| entry.expect("an entry").path());
        let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
        files.map(|file| load_lab(&file).expect("a shipped lab")).collect()
    }

    #[test]
    fn nothing_stands_on_anything_else() {
        let labs = labs();
        assert!(labs.len() >= 10);
        for lab in &labs {
            let layout = Layout::new(lab);
            let count = lab.nodes.len() + lab.hosts.len();
            let lans = lab.links.iter().filter(|link| link.kind == LabLinkKind::Lan).count();
            assert_eq!(layout.places.len(), count + lans, "{}", lab.name);
            for (index, one) in layout.places.iter().enumerate() {
                for other in &layout.places[index + 1..] {
                    let apart = (one.x - other.x).abs() >= (one.width + other.width) / 2.0
                        || (one.y - other.y).abs() >= (one.height + other.height) / 2.0;
                    assert!(apart, "{}: {one:?} and {other:?}", lab.name);
                }
                let (left, right) = (one.x - one.width / 2.0, one.x + one.width / 2.0);
                assert!(left >= 0.0 && right <= layout.width && one.y > 0.0 && one.y < layout.height, "{one:?}");
            }
            assert!(!layout.sites.is_empty(), "{}", lab.name);
            assert!(layout.width < 1000.0 && layout.height < 700.0, "{}: {} {}", lab.name, layout.width, layout.height);
        }
    }

    #[test]
    fn from_the_correspondent_to_the_terminal() {
        let labs = labs();
        let lab = labs.iter().find(|lab| lab.name == "fig5").expect("it is shipped");
        let layout = Layout::new(lab);
        let names: Vec<&str> = layout.stations().into_iter().map(|station| station.name(lab)).collect();
        assert_eq!(names, ["cn", "backbone", "mma1", "ha", "core", "a", "b", "mt"]);
        let sites: Vec<&str> = layout.sites.iter().map(|site| site.name.as_str()).collect();
        assert_eq!(sites, ["foreign", "home"]);
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(shortened("core"), "core");
        assert_eq!(shortened(&"x".repeat(40)).chars().count(), MAX_LETTERS);
    }
}

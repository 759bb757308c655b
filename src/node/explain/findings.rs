//! What was found, and what follows from it.

use serde_json::{Value, json};
use stack::machine::PortId;
use stack::tables::PortSet;

/// What a finding says of the way of the packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It is as it has to be.
    There,
    /// Without it no packet passes.
    Missing,
    /// It may matter.
    Note,
}

/// One step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What looks: `"router"`, `"mma"`, `"home-agent"`.
    pub role: &'static str,
    /// What that means.
    pub standing: Standing,
    /// What there is, or is not.
    pub what: String,
    /// What helps.
    pub remedy: Option<String>,
}

/// All steps, and the verdict.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// In the order in which the state is looked at.
    pub findings: Vec<Finding>,
    /// What is missing, or by which way packets leave.
    pub verdict: String,
}

impl Explanation {
    /// With the steps of all roles. `ways` are those by which packets leave, for where nothing is missing.
    pub(super) fn new(findings: Vec<Finding>, ways: &[String]) -> Self {
        let missing: Vec<&str> = findings
            .iter()
            .filter(|finding| finding.standing == Standing::Missing)
            .map(|finding| finding.what.as_str())
            .collect();
        let verdict = match (&missing[..], ways) {
            ([], []) => "nothing is missing here, and nothing is sent".to_owned(),
            ([], ways) => format!("nothing is missing here: {}", ways.join("; ")),
            (missing, _) => format!("missing here: {}", missing.join("; ")),
        };
        Explanation { findings, verdict }
    }

    /// An object: `steps`, an array of objects with `role`, `standing`, `what` and `remedy`, and `verdict`.
    pub fn to_json(&self) -> Value {
        let step = |finding: &Finding| {
            json!({
                "role": finding.role,
                "standing": match finding.standing {
                    Standing::There => "there",
                    Standing::Missing => "missing",
                    Standing::Note => "note",
                },
                "what": finding.what,
                "remedy": finding.remedy,
            })
        };
        json!({ "steps": self.findings.iter().map(step).collect::<Vec<_>>(), "verdict": self.verdict })
    }
}

/// The findings of one role.
#[derive(Debug)]
pub(super) struct Findings {
    role: &'static str,
    pub(super) all: Vec<Finding>,
    /// How packets leave.
    pub(super) ways: Vec<String>,
}

impl Findings {
    pub(super) fn of(role: &'static str) -> Self {
        Findings { role, all: Vec::new(), ways: Vec::new() }
    }

    pub(super) fn there(&mut self, what: impl Into<String>) {
        self.add(Standing::There, what.into(), None);
    }

    pub(super) fn note(&mut self, what: impl Into<String>) {
        self.add(Standing::Note, what.into(), None);
    }

    pub(super) fn advise(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(Standing::Note, what.into(), Some(remedy.into()));
    }

    pub(super) fn missing(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(Standing::Missing, what.into(), Some(remedy.into()));
    }

    fn add(&mut self, standing: Standing, what: String, remedy: Option<String>) {
        self.all.push(Finding { role: self.role, standing, what, remedy });
    }
}

/// The names of a node's ports.
#[derive(Clone, Debug)]
pub(super) struct PortNames(pub(super) Vec<String>);

impl PortNames {
    pub(super) fn of(&self, port: PortId) -> &str {
        self.0.get(usize::from(port.0)).map_or("?", String::as_str)
    }

    /// As an enumeration: `a, b`.
    pub(super) fn all(&self, ports: PortSet) -> String {
        ports.iter().map(|port| self.of(port)).collect::<Vec<_>>().join(", ")
    }
}

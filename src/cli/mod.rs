//! The command line.
//!
//! Exit statuses: 0 done; 1 the file has mistakes, the node refused, or a check of a lab did not hold; 2 the command
//! line makes no sense; 3 the machine lacks something: an interface, a privilege, a node that listens.

mod explain;
mod lab;
mod show;
mod table;

pub use table::render;

use crate::admin::{self, Request};
use crate::config;
use crate::one_line::in_one_line;
use clap::{Args, Parser, Subcommand};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// All went well.
pub const DONE: u8 = 0;
/// The file has mistakes, the node refused, or a check did not hold.
pub const REFUSED: u8 = 1;
/// The command line makes no sense.
pub const SENSELESS: u8 = 2;
/// The machine lacks something.
pub const UNAVAILABLE: u8 = 3;

/// Where `show` and `signal` look for a node where neither `--socket` nor `DROVER_SOCKET` says.
const DEFAULT_SOCKET: &str = "/run/drover/drover.sock";

const AFTER_HELP: &str = "\
Exit statuses: 0 done; 1 the file has mistakes, the node refused, a check of a lab did not hold, or something that was to
be explained is missing; 2 the command line makes no sense; 3 the machine lacks something (an interface, a privilege, a node that listens).";

/// Userspace IPv6 router whose terminals move by joining a multicast group.
#[derive(Parser, Debug)]
#[command(name = "drover", version, about, after_help = AFTER_HELP, disable_help_subcommand = true)]
struct CommandLine {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Run the node of a file until SIGTERM, SIGINT or SIGHUP.
    Run {
        /// The node file.
        file: PathBuf,
        /// Seed of all random choices, in place of the file's [default: drawn from the kernel].
        #[arg(long)]
        seed: Option<u64>,
        /// Stop when standard input ends: with the process that started this one.
        #[arg(long)]
        until_stdin_ends: bool,
    },
    /// Run a whole topology with its movements on this machine, and report what became of the traffic.
    Lab(lab::Options),
    /// A program at one end of a lab's constant-bit-rate traffic.
    #[command(hide = true)]
    Probe {
        #[command(subcommand)]
        end: lab::ProbeEnd,
    },
    /// Captures what crosses a lab's links.
    #[command(hide = true)]
    Tap {
        /// Where the capture files go.
        directory: PathBuf,
        /// `LINK=INTERFACE,INTERFACE`.
        links: Vec<String>,
    },
    /// Runs a program that ends when standard input does.
    #[command(hide = true)]
    Leash {
        /// The program and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        program: Vec<std::ffi::OsString>,
    },
    /// Say all that is wrong with a node file or a lab file, or that nothing is.
    Check {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Show tables and counters of a running node.
    Show(show::Options),
    /// Print all that can be measured of a running node, as OpenMetrics text: what [metrics] serves by HTTP.
    Metrics {
        #[command(flatten)]
        socket: Socket,
    },
    /// Say step by step what a running node has to carry the packets of a group or of a terminal, and what is missing.
    Explain(explain::Options),
    /// Tell a running terminal the signal strength of a radio port.
    Signal {
        /// Name of the port in the node's file.
        port: String,
        /// Strength in dBm, -150 to 0, or `none`.
        #[arg(allow_negative_numbers = true, value_parser = strength)]
        dbm: Strength,
        #[command(flatten)]
        socket: Socket,
    },
    /// Tell a running terminal that it is about to move to another access router, whose packets are to wait for it there.
    ///
    /// The present access router is told, and asks the other one to join the terminal's group at once. Both have to be in one
    /// mesh ([access_router.mesh]), and the terminal has to say how it moves (mobile_terminal.report_moves).
    Handover {
        /// An address of the access router, or any in the prefix of its link.
        #[arg(long, value_name = "ADDRESS")]
        to: std::net::Ipv6Addr,
        #[command(flatten)]
        socket: Socket,
    },
    /// Have the kernel compute the checksums of what it sends on an interface whose other end is a node's port.
    ///
    /// For hosts behind a veth: their kernel leaves the checksums of TCP and UDP to a device, which a veth does not have, and
    /// an af_xdp port at its other end takes packets as they are, so that their receivers drop them. It lasts as long as the
    /// interface, and needs CAP_NET_ADMIN; `ethtool -K INTERFACE tx off` does the same.
    OffloadOff {
        /// The host's end of the veth.
        interface: String,
    },
}

#[derive(Args, Debug)]
struct Socket {
    /// The node's admin socket [default: $DROVER_SOCKET, else /run/drover/drover.sock].
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl Socket {
    fn path(self) -> PathBuf {
        let from_environment = || std::env::var_os("DROVER_SOCKET").map(PathBuf::from);
        self.socket.or_else(from_environment).unwrap_or_else(|| DEFAULT_SOCKET.into())
    }
}

/// A signal strength on the command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Strength(Option<i16>);

fn strength(text: &str) -> Result<Strength, String> {
    if text == "none" {
        return Ok(Strength(None));
    }
    match text.parse() {
        Ok(dbm @ -150..=0) => Ok(Strength(Some(dbm))),
        _ => Err("give -150 to 0, or `none`".into()),
    }
}

/// Does what the command line of this process says.
pub fn main() -> ExitCode {
    ExitCode::from(match CommandLine::parse().action {
        Action::Run { file, seed, until_stdin_ends } => run(&file, seed, until_stdin_ends),
        Action::Lab(options) => lab::run(&options),
        Action::Probe { end } => lab::finish(end.run()),
        Action::Tap { directory, links } => lab::finish(crate::lab::netns::tap::run(&directory, &links)),
        Action::Leash { program } => match crate::lab::netns::leash::run(&program) {
            Ok(true) => DONE,
            Ok(false) => REFUSED,
            Err(error) => lab::finish(Err(error)),
        },
        Action::OffloadOff { interface } => {
            lab::finish(stack::port::netdevice::no_transmit_checksum_offload(&interface).map_err(Into::into))
        }
        Action::Check { files } => check(&files),
        Action::Show(options) => show::show(options),
        Action::Metrics { socket } => metrics(socket),
        Action::Explain(options) => explain::explain(options),
        Action::Signal { port, dbm, socket } => tell(socket, &Request::Signal { port, dbm: dbm.0 }),
        Action::Handover { to, socket } => tell(socket, &Request::Handover { to }),
    })
}

/// Tells a node something that it has no more to answer to than that it is done.
fn tell(socket: Socket, request: &Request) -> u8 {
    match admin::request(&socket.path(), request) {
        Ok(_) => DONE,
        Err(error) => client_failed(&error),
    }
}

fn metrics(socket: Socket) -> u8 {
    match admin::request(&socket.path(), &Request::Metrics(true)) {
        Ok(text) => say(text.as_str().unwrap_or_default(), DONE),
        Err(error) => client_failed(&error),
    }
}

/// Runs a node; 0 when it was told to stop.
fn run(file: &Path, seed: Option<u64>, until_stdin_ends: bool) -> u8 {
    let config = match config::load(file) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return REFUSED;
        }
    };
    let Some(seed) = seed.or(config.seed).or_else(fresh_seed) else {
        eprintln!("drover: /dev/urandom cannot be read; give --seed");
        return UNAVAILABLE;
    };
    // Who started it within a lab does so anew each time.
    if config.state_dir.is_none() && config.has_memory() && !until_stdin_ends {
        let name = &config.name;
        eprintln!(
            "drover: {}: without node.state_dir a restart forgets which messages are old; give one as state_dir = \
             \"/var/lib/drover/{name}\"",
            file.display()
        );
    }
    match crate::node::run(config, seed, until_stdin_ends) {
        Ok(()) => DONE,
        Err(error) => {
            eprintln!("drover: {}: {}", file.display(), in_one_line(&error));
            UNAVAILABLE
        }
    }
}

/// A seed that nobody has used before.
fn fresh_seed() -> Option<u64> {
    let mut octets = [0; 8];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom").ok()?, &mut octets).ok()?;
    Some(u64::from_ne_bytes(octets))
}

/// Checks every file; 0 only where all are sound.
fn check(files: &[PathBuf]) -> u8 {
    let mut status = DONE;
    for file in files {
        match check_one(file) {
            Ok(summary) => status = say(&format!("{}: {summary}\n", file.display()), status),
            Err(error) => {
                eprintln!("{error}");
                status = REFUSED;
            }
        }
    }
    status
}

fn check_one(file: &Path) -> Result<String, config::document::ConfigError> {
    match config::load_any(file)? {
        config::AnyFile::Node(node) => {
            let roles = node.roles();
            let roles = if roles.is_empty() { "no role".to_owned() } else { roles.join(" + ") };
            Ok(format!("good: node {}, {roles}, {} ports", node.name, node.ports.len()))
        }
        config::AnyFile::Lab(lab) => Ok(format!(
            "good: lab {}, {} nodes, {} links, {} movements",
            lab.name,
            lab.nodes.len(),
            lab.links.len(),
            lab.moves.len()
        )),
    }
}

/// Prints the outcome; `status`, or that it could not be printed. A reader that has seen enough (`| head`) is no error.
fn say(text: &str, status: u8) -> u8 {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("drover: standard output cannot be written: {error}");
            UNAVAILABLE
        }
        _ => status,
    }
}

/// Says why a command line makes no sense, where clap cannot tell; the status for it.
fn senseless(why: &str) -> u8 {
    eprintln!("error: {why}\n\nFor more information, try '--help'.");
    SENSELESS
}

/// Says why a request failed; the status for it.
fn client_failed(error: &admin::ClientError) -> u8 {
    eprintln!("drover: {error}");
    match error {
        admin::ClientError::Refused(_) | admin::ClientError::Answer(..) => REFUSED,
        admin::ClientError::Connect(..) | admin::ClientError::Exchange(..) => UNAVAILABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    /// What only a lab runs is hidden; what users need is not.
    #[test]
    fn the_help_lists_what_users_need() {
        let help = CommandLine::command().render_help().to_string();
        let listed: Vec<&str> = help
            .lines()
            .skip_while(|line| *line != "Commands:")
            .skip(1)
            .map_while(|line| line.split_whitespace().next())
            .collect();
        assert_eq!(listed, ["run", "lab", "check", "show", "metrics", "explain", "signal", "handover", "offload-off"]);
    }

    #[test]
    fn strengths() {
        assert_eq!(strength("-70"), Ok(Strength(Some(-70))));
        assert_eq!(strength("none"), Ok(Strength(None)));
        assert!(strength("5").is_err() && strength("-151").is_err() && strength("").is_err());
        let line = CommandLine::try_parse_from(["drover", "signal", "radio-a", "-70"]).unwrap();
        assert!(matches!(line.action, Action::Signal { dbm: Strength(Some(-70)), .. }));
    }
}

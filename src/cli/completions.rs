//! `drover completions`: the scripts of the shells, made of the command line that this program parses, so that neither can
//! differ from the other. What only a lab runs is left out.

use super::{CommandLine, DONE, say};
use clap::{Command, CommandFactory, ValueEnum};

/// The shells whose scripts there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Shell {
    /// For /usr/share/bash-completion/completions/drover, or `source <(drover completions bash)`.
    Bash,
    /// For _drover in a directory of $fpath.
    Zsh,
    /// For ~/.config/fish/completions/drover.fish.
    Fish,
}

impl From<Shell> for clap_complete::Shell {
    fn from(shell: Shell) -> Self {
        match shell {
            Shell::Bash => clap_complete::Shell::Bash,
            Shell::Zsh => clap_complete::Shell::Zsh,
            Shell::Fish => clap_complete::Shell::Fish,
        }
    }
}

/// Prints the script.
pub(super) fn print(shell: Shell) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(clap_complete::Shell::from(shell), &mut visible(), "drover", &mut script);
    say(&String::from_utf8_lossy(&script), DONE)
}

/// The command line without hidden commands, which the scripts would offer as the others.
fn visible() -> Command {
    let whole = CommandLine::command();
    let commands: Vec<Command> = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    Command::new("drover").version(env!("CARGO_PKG_VERSION")).disable_help_subcommand(true).subcommands(commands)
}

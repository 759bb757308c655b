//! `drover man`: the manual pages, made of the command line that this program parses, so that neither can differ from the
//! other. What only a lab runs has none.

use super::{CommandLine, lab};
use anyhow::Context;
use clap::CommandFactory;
use std::path::Path;

/// Writes `drover.1`, and `drover-COMMAND.1` for each command, into a directory.
pub(super) fn write(directory: &Path) -> u8 {
    let written = std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(CommandLine::command(), directory))
        .with_context(|| format!("{}: the manual pages cannot be written", directory.display()));
    lab::finish(written)
}

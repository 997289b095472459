//! The resolved settings as a TOML file that says, line by line, where each value came from.

use super::Resolved;
use super::keys::KEYS;
use super::kind::written;

/// Column of the comments, unless a value is longer.
const COMMENT_COLUMN: usize = 36;

impl Resolved {
    /// A valid file for `--settings`, each line with its source.
    pub(crate) fn to_toml(&self) -> String {
        let mut toml = String::new();
        let mut section = "";
        for key in KEYS {
            let (in_section, name) = key.path.split_once('.').unwrap_or(("", key.path));
            if in_section != section {
                section = in_section;
                let gap = if toml.is_empty() { "" } else { "\n" };
                toml.push_str(&format!("{gap}[{section}]\n"));
            }
            let line = match self.entries.get(key.path) {
                Some(entry) => {
                    // Null, which TOML lacks, says the same as the word that leaves a key open.
                    let value = match (&entry.value, key.open) {
                        (config::ValueKind::Nil, Some(word)) => format!("{word:?}"),
                        (value, _) => written(value),
                    };
                    let source = entry.source.escape_debug();
                    format!("{:COMMENT_COLUMN$} # {source}", format!("{name} = {value}"))
                }
                None => format!("{:COMMENT_COLUMN$} # must be {key}", format!("# {name} is not set")),
            };
            toml.push_str(&line);
            toml.push('\n');
        }
        toml
    }
}

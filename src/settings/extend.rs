//! The trainer's file with those that it extends: `extend: base.yaml`, relative to the file that says so. As for the trainer,
//! sections are merged, the extending file wins, and lists are replaced. The file that the trainer itself writes for a run
//! has been merged already.

use config::ValueKind;
use std::collections::BTreeMap;
use std::path::Path;

use super::file::Language;
use super::layer;
use super::mistake::Mistake;

/// The trainer's name for the file below.
pub(super) const EXTEND: &str = "extend";

/// Most files, one extending the other.
const MOST_FILES: usize = 16;

/// A value of the trainer's.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Given {
    /// As written.
    pub value: ValueKind,
    /// The file that it stands in.
    pub file: String,
}

/// All values by dotted path; nothing if a file cannot be used.
pub(super) fn read(path: &Path, mistakes: &mut Vec<Mistake>) -> Option<BTreeMap<String, Given>> {
    let mut values = BTreeMap::new();
    let (mut place, mut path) = ("--config".to_owned(), path.to_owned());
    for _ in 0..MOST_FILES {
        let table = layer::read(&place, &path, Language::Yaml, mistakes)?;
        if table.is_empty() {
            let reason = "is empty; the trainer writes quoridor, alphazero and self_play there".to_owned();
            mistakes.push(Mistake::File { place: layer::place(&place, &path), reason });
            return None;
        }
        let file = path.display().to_string();
        let mut leaves = layer::flatten(table);
        let below = leaves.remove(EXTEND);
        underlay(&mut values, leaves, &file);
        match below {
            None | Some(ValueKind::Nil) => {
                values.retain(|_, given| given.value != ValueKind::Nil);
                return Some(values);
            }
            Some(ValueKind::String(base)) => {
                path = path.parent().unwrap_or(Path::new("")).join(base);
                place = format!("{file}: {EXTEND}");
            }
            Some(_) => {
                let reason = format!("{EXTEND} must be the path of the file that this one extends");
                mistakes.push(Mistake::File { place: layer::place(&place, &path), reason });
                return None;
            }
        }
    }
    let reason = format!("more than {MOST_FILES} files extend each other: does one extend itself?");
    mistakes.push(Mistake::File { place: layer::place(&place, &path), reason });
    None
}

/// Puts the values of `file` below those that are there: a value above takes the place of the value or of the whole section
/// below.
fn underlay(values: &mut BTreeMap<String, Given>, below: BTreeMap<String, ValueKind>, file: &str) {
    let is_within = |name: &str, section: &str| layer::is_section(section, std::iter::once(name));
    let hidden = |values: &BTreeMap<String, Given>, name: &str| {
        values.keys().any(|above| above == name || is_within(name, above) || is_within(above, name))
    };
    let seen: BTreeMap<_, _> = below.into_iter().filter(|(name, _)| !hidden(values, name)).collect();
    values.extend(seen.into_iter().map(|(name, value)| (name, Given { value, file: file.to_owned() })));
}

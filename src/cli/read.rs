//! How text of the command line is read.

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};

/// Text for a setting that is one of some words, which help lists. Whether it is one of them is said with all other mistakes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words(pub &'static [&'static str]);

impl TypedValueParser for Words {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(PossibleValue::new)))
    }
}

/// Reads a whole number in this range.
pub(super) fn whole<T: TryFrom<u64>>(least: u64, most: u64) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.and_then(|number| number.try_into().ok()).ok_or(format!("must be a whole number from {least} to {most}"))
    }
}

/// Reads a number above 0.
pub(super) fn above_zero(most: f64) -> impl Fn(&str) -> Result<f64, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|&number| number > 0.0 && number <= most);
        number.ok_or(format!("must be a number above 0, at most {most}"))
    }
}

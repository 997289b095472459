//! Numbers and tables for people.

/// A number with three digits that count, or all before the point.
pub(crate) fn short(number: f64) -> String {
    let size = number.abs();
    let digits = match size {
        _ if size >= 100.0 => 0,
        _ if size >= 10.0 => 1,
        _ if size >= 1.0 || size == 0.0 => 2,
        _ if size >= 0.1 => 3,
        _ => 4,
    };
    let text = format!("{number:.digits$}");
    let (sign, whole) = text.strip_prefix('-').map_or(("", text.as_str()), |whole| ("-", whole));
    let (whole, rest) =
        whole.split_once('.').map_or((whole, String::new()), |(whole, rest)| (whole, format!(".{rest}")));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}")
}

/// A span of time.
pub(crate) fn span(seconds: f64) -> String {
    let seconds = seconds.round().max(0.0) as u64;
    if seconds < 100 { format!("{seconds} s") } else { format!("{} min {:02} s", seconds / 60, seconds % 60) }
}

/// Rows below each other: the first column begins at the left, the others end at the right. Rows may be of different lengths.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    // A row of one cell is a title: it makes no column wide.
    let cells = |column: usize| rows.iter().filter(|row| row.len() > 1).filter_map(move |row| row.get(column));
    let width = |column| cells(column).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(
            |(column, (cell, &width))| {
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            },
        );
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_the_digits_that_count() {
        let numbers = [0.0, 0.01234, 0.5, 1.234, 12.34, 123.4, 1234.5, 1_234_567.0, -1234.0, f64::NAN];
        let texts = ["0.00", "0.0123", "0.500", "1.23", "12.3", "123", "1,234", "1,234,567", "-1,234", "NaN"];
        assert_eq!(numbers.map(short), texts);
    }

    #[test]
    fn times_are_in_seconds_or_minutes() {
        assert_eq!([0.4, 12.0, 99.0, 100.0, 605.0].map(span), ["0 s", "12 s", "99 s", "1 min 40 s", "10 min 05 s"]);
    }

    #[test]
    fn columns_are_aligned() {
        let row = |cells: &[&str]| cells.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>();
        let rows =
            [row(&["", "old", "new"]), row(&["a title of one cell"]), row(&["µs", "1", "1,000"]), row(&["rate", "22"])];
        let expected = "      old    new\na title of one cell\nµs      1  1,000\nrate   22";
        assert_eq!(table(&rows), expected);
    }
}

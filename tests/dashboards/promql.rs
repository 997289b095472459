//! What an expression of PromQL refers to. No parser: it knows just enough to find selectors and operands.

/// A selector: a name with its matchers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selector {
    /// Of the metric.
    pub(crate) name: String,
    /// Label, operator, value.
    pub(crate) matchers: Vec<(String, String, String)>,
}

impl Selector {
    /// As an expression.
    pub(crate) fn expr(&self) -> String {
        let matchers = self.matchers.iter().map(|(label, operator, value)| format!("{label}{operator}{value:?}"));
        format!("{}{{{}}}", self.name, matchers.collect::<Vec<_>>().join(", "))
    }
}

/// Words that are no metric.
const WORDS: [&str; 10] =
    ["and", "or", "unless", "bool", "by", "without", "on", "ignoring", "group_left", "group_right"];
/// Words that a list of labels may follow.
const LISTED: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_' || character == ':'
}

/// The length of the bracketed text that `text` begins with.
fn bracketed(text: &str) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return at + character.len_utf8();
                }
            }
            _ => {}
        }
    }
    panic!("a bracket is not closed in {text}");
}

/// All selectors in `expr`.
pub(crate) fn selectors(expr: &str) -> Vec<Selector> {
    let mut found = Vec::new();
    let mut rest = expr;
    while let Some(first) = rest.chars().next() {
        match first {
            // A range, or what quotes hold.
            '[' => rest = &rest[bracketed(rest)..],
            '"' => rest = &rest[1 + rest[1..].find('"').expect("a quote is closed") + 1..],
            _ if first.is_ascii_digit() => rest = rest.trim_start_matches(|c: char| is_name(c) || c == '.'),
            _ if is_name(first) => {
                let name = &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())];
                let after = rest[name.len()..].trim_start();
                if LISTED.contains(&name) && after.starts_with('(') {
                    rest = &after[bracketed(after)..];
                } else if WORDS.contains(&name) || after.starts_with('(') || followed_by_list(after) {
                    rest = after;
                } else if after.starts_with('{') {
                    let end = bracketed(after);
                    found.push(Selector { name: name.to_owned(), matchers: matchers(&after[1..end - 1]) });
                    rest = &after[end..];
                } else {
                    found.push(Selector { name: name.to_owned(), matchers: Vec::new() });
                    rest = after;
                }
            }
            _ => rest = &rest[first.len_utf8()..],
        }
    }
    found
}

/// Whether this follows an aggregation: `sum by (…) (…)`.
fn followed_by_list(after: &str) -> bool {
    ["by", "without"].iter().any(|word| after.strip_prefix(word).is_some_and(|rest| rest.trim_start().starts_with('(')))
}

fn matchers(text: &str) -> Vec<(String, String, String)> {
    let (mut found, mut rest) = (Vec::new(), text.trim());
    while !rest.is_empty() {
        let label = &rest[..rest.find(|c| !is_name(c)).expect("an operator")];
        let after = rest[label.len()..].trim_start();
        let quote = after.find('"').expect("a quoted value");
        let end = quote + 1 + after[quote + 1..].find('"').expect("a quote is closed");
        found.push((label.to_owned(), after[..quote].trim().to_owned(), after[quote + 1..end].to_owned()));
        rest = after[end + 1..].trim_start_matches([',', ' ', '\n']);
    }
    found
}

/// The vectors that `expr` compares with numbers and combines by `and`, `or` and `unless`: what it can return before it
/// chooses.
pub(crate) fn operands(expr: &str) -> Vec<String> {
    let expr = expr.trim();
    let parts = split(expr);
    if let [part] = &parts[..] {
        if part.starts_with('(') && bracketed(part) == part.len() {
            return operands(&part[1..part.len() - 1]);
        }
        let number = part.parse::<f64>().is_ok();
        return if number { Vec::new() } else { vec![(*part).to_owned()] };
    }
    parts.into_iter().flat_map(operands).collect()
}

/// Splits at comparisons and set operators outside all brackets.
fn split(expr: &str) -> Vec<&str> {
    let (mut parts, mut start, mut at) = (Vec::new(), 0, 0);
    while at < expr.len() {
        let rest = &expr[at..];
        let word = &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())];
        let comparison = ["==", "!=", ">=", "<=", ">", "<"].into_iter().find(|operator| rest.starts_with(operator));
        let mut length = if rest.starts_with(['(', '[', '{']) { bracketed(rest) } else { word.len().max(1) };
        let set_operator = matches!(word, "and" | "or" | "unless");
        if set_operator || comparison.is_some() {
            parts.push(expr[start..at].trim());
            length = comparison.map_or(word.len(), str::len);
            length += qualifier(&rest[length..]);
            start = at + length;
        }
        at += length;
    }
    parts.push(expr[start..].trim());
    parts
}

/// The length of `bool`, `on (…)` or `ignoring (…)` at the beginning of `text`, blanks before it included.
fn qualifier(text: &str) -> usize {
    let rest = text.trim_start();
    let blanks = text.len() - rest.len();
    for word in ["on", "ignoring"] {
        if let Some(list) = rest.strip_prefix(word)
            && list.trim_start().starts_with('(')
        {
            let list_blanks = list.len() - list.trim_start().len();
            return blanks + word.len() + list_blanks + bracketed(list.trim_start());
        }
    }
    if rest.starts_with("bool ") { blanks + 4 } else { 0 }
}

/// `expr` as Grafana would send it, for all daemons of this job.
pub(crate) fn without_macros(expr: &str, job: &str) -> String {
    expr.replace("$__rate_interval", "1m").replace("$job", job).replace("$instance", ".+")
}

#[test]
fn selectors_are_found_among_functions_labels_and_numbers() {
    let names = |expr| selectors(expr).into_iter().map(|selector| selector.name).collect::<Vec<_>>();
    assert_eq!(
        names("sum by (le, job) (rate(a_bucket{x=\"y\"}[5m])) / ignoring (le) group_left sum(b)"),
        ["a_bucket", "b"]
    );
    assert_eq!(names("histogram_quantile(0.95, sum without (le) (a)) > bool 1e3"), ["a"]);
    assert_eq!(
        names("label_replace(a, \"b\", \"$1\", \"c\", \"(.*)\") and on (job) d:e:f offset 5m"),
        ["a", "d:e:f", "offset"]
    );
    let [selector] = &selectors("a{b=\"c\", d!~\"e{1}|f\"} == 1")[..] else { panic!() };
    assert_eq!(selector.expr(), "a{b=\"c\", d!~\"e{1}|f\"}");
}

#[test]
fn operands_are_what_is_compared_and_combined() {
    assert_eq!(operands("a > 60 and b{c=\"or\"} == 0 unless d == 1"), ["a", "b{c=\"or\"}", "d"]);
    assert_eq!(operands("(a == 1 unless f(b, \"c\")) or (d >= 1 and on (job) g)"), ["a", "f(b, \"c\")", "d", "g"]);
    assert_eq!(operands("abs(a / b - 1) > 0.3"), ["abs(a / b - 1)"]);
    assert_eq!(operands("time() - (a > 0)"), ["time() - (a > 0)"]);
}

//! JSON as aligned columns: an array of objects is a table, an object is a list of names and values.

use serde_json::{Map, Value};
use std::fmt::Write;

/// Spaces between columns.
const GAP: usize = 2;

/// Lays `value` out for people. Columns stand in the order in which their keys first occur; numbers to the right.
pub fn render(value: &Value) -> String {
    match value {
        Value::Array(rows) if rows.is_empty() => "none\n".to_owned(),
        Value::Array(rows) if rows.iter().all(Value::is_object) => {
            let rows: Vec<&Map<String, Value>> = rows.iter().filter_map(Value::as_object).collect();
            table(&rows)
        }
        Value::Object(object) => {
            let mut pairs = Vec::new();
            flatten("", object, &mut pairs);
            let width = pairs.iter().map(|(name, _)| letters(name)).max().unwrap_or(0);
            let numbers = pairs.iter().filter(|(_, value)| value.is_number());
            let digits = numbers.map(|(_, value)| letters(&cell(value))).max().unwrap_or(0);
            let mut text = String::new();
            for (name, value) in &pairs {
                let cell = cell(value);
                let digits = if value.is_number() { digits } else { 0 };
                line(&mut text, format_args!("{name:width$}{:GAP$}{cell:>digits$}", ""));
            }
            text
        }
        other => format!("{}\n", cell(other)),
    }
}

fn table(rows: &[&Map<String, Value>]) -> String {
    let mut columns: Vec<&str> = Vec::new();
    for row in rows {
        for key in row.keys() {
            if !columns.contains(&key.as_str()) {
                columns.push(key);
            }
        }
    }
    let mut cells: Vec<Vec<String>> = vec![columns.iter().map(|column| column.replace('_', " ")).collect()];
    for row in rows {
        cells.push(columns.iter().map(|column| row.get(*column).map_or("-".to_owned(), cell)).collect());
    }
    let numeric: Vec<bool> = columns
        .iter()
        .map(|column| rows.iter().all(|row| row.get(*column).is_none_or(|value| value.is_number() || value.is_null())))
        .collect();
    let widths: Vec<usize> =
        (0..columns.len()).map(|c| cells.iter().map(|row| letters(&row[c])).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &cells {
        let mut written = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            let gap = if column == 0 { 0 } else { GAP };
            let _ = if numeric[column] {
                write!(written, "{:gap$}{cell:>width$}", "")
            } else {
                write!(written, "{:gap$}{cell:width$}", "")
            };
        }
        line(&mut text, format_args!("{written}"));
    }
    text
}

fn line(text: &mut String, written: std::fmt::Arguments<'_>) {
    let written = written.to_string();
    text.push_str(written.trim_end());
    text.push('\n');
}

fn flatten<'v>(prefix: &str, object: &'v Map<String, Value>, pairs: &mut Vec<(String, &'v Value)>) {
    for (key, value) in object {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Object(inner) => flatten(&name, inner, pairs),
            value => pairs.push((name, value)),
        }
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(values) if values.is_empty() => "-".to_owned(),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(object) => {
            object.iter().map(|(key, value)| format!("{key}={}", cell(value))).collect::<Vec<_>>().join(" ")
        }
    }
}

fn letters(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_become_a_table() {
        let value = json!([
            {"prefix": "::/0", "via": "fe80::1", "uses": 5},
            {"prefix": "2001:db8:a::/64", "via": null, "uses": 12345},
        ]);
        let expected = "\
prefix           via       uses
::/0             fe80::1      5
2001:db8:a::/64  -        12345
";
        assert_eq!(render(&value), expected);
    }

    #[test]
    fn objects_become_names_and_values() {
        let value = json!({"dataplane": {"rx": 17, "drop-mfib-rpf": 3}, "up": true});
        assert_eq!(
            render(&value),
            "dataplane.rx             17\ndataplane.drop-mfib-rpf   3\nup                       yes\n"
        );
        assert_eq!(render(&json!([])), "none\n");
        assert_eq!(render(&json!(null)), "-\n");
    }
}

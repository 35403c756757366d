//! The extensions of STAC that items have fields of. An item lists those of which it has one: the schemas of `eo` and
//! `view` refuse an item that lists them and has none.

use serde_json::Value;

pub(super) const EO: &str = "https://stac-extensions.github.io/eo/v2.0.0/schema.json";
pub(super) const PROJECTION: &str = "https://stac-extensions.github.io/projection/v2.0.0/schema.json";
const VIEW: &str = "https://stac-extensions.github.io/view/v1.0.0/schema.json";
const FILE: &str = "https://stac-extensions.github.io/file/v2.1.0/schema.json";

/// The extensions of which the item has a field: their schemas ask for one.
pub(super) fn extensions(item: &Value) -> Vec<&'static str> {
    let used = |(prefix, schema): (&str, &'static str)| has_field(item, prefix).then_some(schema);
    [("eo:", EO), ("proj:", PROJECTION), ("view:", VIEW), ("file:", FILE)]
        .into_iter()
        .filter_map(used)
        .collect()
}

/// Whether a field of such a name is anywhere in a value.
fn has_field(value: &Value, prefix: &str) -> bool {
    match value {
        Value::Object(fields) => {
            fields.iter().any(|(name, v)| name.starts_with(prefix) || has_field(v, prefix))
        }
        Value::Array(list) => list.iter().any(|v| has_field(v, prefix)),
        _ => false,
    }
}

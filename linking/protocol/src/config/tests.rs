use super::*;
use serde_json::{Value, json};

mod effects;
mod errors;
mod secrets;
mod shapes;

const CONTEXT: ParseContext<'static> = ParseContext { local_cluster: "us-east" };

/// The smallest valid body, with some fields replaced.
fn body(fields: Value) -> Value {
    let mut body =
        json!({ "name": "eu-west", "server": "mqtt.eu.example", "topics": ["global/#"] });
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn created(fields: Value) -> LinkConfig {
    parse_create(&body(fields), CONTEXT).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// The violations of a create as R-1 shows them.
fn violations(fields: Value) -> Vec<Value> {
    let errors = parse_create(&body(fields), CONTEXT).unwrap_err();
    errors.iter().map(|error| error.to_json(PathBase::Create)).collect()
}

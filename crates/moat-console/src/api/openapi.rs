//! The OpenAPI 3.1 document, made from the table of routes. Its schemas are JSON Schema 2020-12, which is what
//! schemars makes.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::problem::Problem;
use super::route::Route;
use crate::access::Access;

/// One operation while it is described.
#[derive(Debug)]
pub struct Operation<'a> {
    schemas: &'a mut Schemas,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Map<String, Value>,
}

/// Components, by whether they are read or written: a field with a default need not be sent, but always comes.
#[derive(Debug)]
struct Schemas {
    requests: SchemaGenerator,
    responses: SchemaGenerator,
}

impl Schemas {
    fn new() -> Schemas {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        Schemas {
            requests: settings().for_deserialize().into_generator(),
            responses: settings().for_serialize().into_generator(),
        }
    }

    /// All components by name. Those of requests that read otherwise than their namesakes of responses are named
    /// `…Input`, which no type here is.
    fn into_components(mut self) -> Map<String, Value> {
        let mut components = self.responses.take_definitions(true);
        for (name, schema) in self.requests.take_definitions(true) {
            components.entry(name).or_insert(schema);
        }
        components
    }
}

impl Operation<'_> {
    /// A JSON body.
    pub fn body<T: JsonSchema>(&mut self) {
        let schema = self.schemas.requests.subschema_for::<T>();
        self.body =
            Some(json!({ "required": true, "content": { "application/json": { "schema": schema } } }));
    }

    /// One parameter for each field of `T`.
    pub fn query<T: JsonSchema>(&mut self) {
        let schema = T::json_schema(&mut self.schemas.requests);
        let required = schema.get("required").cloned().unwrap_or_default();
        let Some(Value::Object(properties)) = schema.get("properties").cloned() else { return };
        for (name, mut schema) in properties {
            let required = required.as_array().is_some_and(|names| names.iter().any(|other| *other == name));
            let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            let mut parameter = json!({ "name": name, "in": "query", "required": required, "style": "form", "explode": false, "schema": schema });
            if let (Some(description), Some(parameter)) = (description, parameter.as_object_mut()) {
                parameter.insert("description".to_owned(), description);
            }
            self.parameters.push(parameter);
        }
    }

    pub fn header(&mut self, name: &str, required: bool, description: &str) {
        self.parameters.push(json!({
            "name": name, "in": "header", "required": required, "description": description,
            "schema": { "type": "string" },
        }));
    }

    /// An answer with a JSON body.
    pub fn answer<T: JsonSchema>(&mut self, status: u16, description: &str) {
        let schema = self.schemas.responses.subschema_for::<T>();
        self.answers.insert(
            status.to_string(),
            json!({ "description": description, "content": { "application/json": { "schema": schema } } }),
        );
    }

    /// An answer in another media type, whose data are of type `T`.
    pub fn answer_as<T: JsonSchema>(&mut self, media: &str, description: &str) {
        let schema = self.schemas.responses.subschema_for::<T>();
        self.answers.insert(
            "200".to_owned(),
            json!({ "description": description, "content": { media: { "schema": schema } } }),
        );
    }

    /// An answer without a body.
    pub fn empty(&mut self, status: u16, description: &str) {
        self.answers.insert(status.to_string(), json!({ "description": description }));
    }

    /// Says that the last answer carries the object's revision.
    pub fn answers_etag(&mut self) {
        for answer in self.answers.values_mut() {
            if let Some(answer) = answer.as_object_mut() {
                answer.insert(
                    "headers".to_owned(),
                    json!({ "ETag": { "description": "Revision, for `If-Match`", "schema": { "type": "string" } } }),
                );
            }
        }
    }
}

/// The whole document.
pub fn document(routes: &[Route]) -> Value {
    let mut schemas = Schemas::new();
    let problem: Schema = schemas.responses.subschema_for::<Problem>();
    let mut paths = Map::new();
    for route in routes {
        let mut operation = Operation {
            schemas: &mut schemas,
            parameters: path_parameters(route.path),
            body: None,
            answers: Map::new(),
        };
        (route.describe)(&mut operation);
        let Operation { parameters, body, mut answers, .. } = operation;
        answers.insert(
            "default".to_owned(),
            json!({ "description": "What went wrong", "content": { "application/problem+json": { "schema": problem } } }),
        );
        let mut described = json!({
            "operationId": route.id,
            "summary": route.summary,
            "tags": [route.tag()],
            "parameters": parameters,
            "responses": answers,
            "security": security(route.access),
        });
        if let (Some(body), Some(described)) = (body, described.as_object_mut()) {
            described.insert("requestBody".to_owned(), body);
        }
        let path = paths.entry(format!("/api/v1{}", route.path)).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.method.as_str().to_ascii_lowercase(), described);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Moat console",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Errors are RFC 9457 problem documents. Lists come in pages: `next` is the `cursor` of the following one, or null.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas.into_components(),
            "securitySchemes": {
                "session": { "type": "apiKey", "in": "cookie", "name": "moat_session", "description": "Changes also need the session's `csrf` in the header `X-Moat-CSRF`." },
                "token": { "type": "http", "scheme": "bearer" },
            },
        },
    })
}

fn path_parameters(path: &str) -> Vec<Value> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            let schema =
                if name == "revision" { json!({ "type": "integer" }) } else { json!({ "type": "string" }) };
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
        .collect()
}

fn security(access: Access) -> Value {
    match access {
        Access::Public => json!([]),
        Access::SignedIn | Access::To(..) => json!([{ "session": [] }, { "token": [] }]),
    }
}

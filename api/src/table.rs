//! The endpoints, each declared once: its path, its handler and its documentation. The server and
//! the OpenAPI document are both made from this table, so they cannot differ.

use std::collections::BTreeMap;

use actix_web::dev::Handler;
use actix_web::{FromRequest, HttpRequest, Resource, Responder, Route, web};
use spanmq_api_model::ErrorBody;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem, PathsBuilder,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ArrayBuilder, ComponentsBuilder, ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Content, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required, Schema, ServerBuilder,
};
use utoipa::{IntoParams, ToSchema};

use crate::error::{ApiError, ApiResult};

type Schemas = Vec<(String, RefOr<Schema>)>;

/// What the document says about one operation.
pub(crate) struct Op {
    tag: &'static str,
    summary: &'static str,
    params: Vec<Parameter>,
    body: Option<Content>,
    answers: Vec<(u16, Option<(&'static str, Content)>)>,
    schemas: Schemas,
    open: bool,
}

/// Begins the documentation of an operation.
pub(crate) fn op(tag: &'static str, summary: &'static str) -> Op {
    Op {
        tag,
        summary,
        params: Vec::new(),
        body: None,
        answers: Vec::new(),
        schemas: Vec::new(),
        open: false,
    }
}

impl Op {
    /// Answers without credentials.
    pub(crate) fn open(mut self) -> Self {
        self.open = true;
        self
    }

    pub(crate) fn query<Q: IntoParams>(mut self) -> Self {
        self.params.extend(Q::into_params(|| Some(ParameterIn::Query)));
        self
    }

    pub(crate) fn body<B: ToSchema>(mut self) -> Self {
        self.body = Some(self.content::<B>());
        self.fails(&[400, 413, 415])
    }

    pub(crate) fn body_list<B: ToSchema>(mut self) -> Self {
        self.body = Some(self.list_content::<B>());
        self.fails(&[400, 413, 415])
    }

    pub(crate) fn json<T: ToSchema>(mut self, status: u16) -> Self {
        let content = self.content::<T>();
        self.answers.push((status, Some(("application/json", content))));
        self
    }

    pub(crate) fn list<T: ToSchema>(mut self, status: u16) -> Self {
        let content = self.list_content::<T>();
        self.answers.push((status, Some(("application/json", content))));
        self
    }

    pub(crate) fn text(mut self, status: u16) -> Self {
        let schema = ObjectBuilder::new().schema_type(Type::String).build();
        let content = Content::new(Some(Schema::from(schema)));
        self.answers.push((status, Some(("text/plain", content))));
        self
    }

    pub(crate) fn event_stream(mut self, status: u16) -> Self {
        let schema = ObjectBuilder::new().schema_type(Type::String).build();
        let content = Content::new(Some(Schema::from(schema)));
        self.answers.push((status, Some(("text/event-stream", content))));
        self
    }

    /// JSON of any shape.
    pub(crate) fn any_json(mut self, status: u16) -> Self {
        let content = Content::new(Some(Schema::from(ObjectBuilder::new().build())));
        self.answers.push((status, Some(("application/json", content))));
        self
    }

    pub(crate) fn empty(mut self, status: u16) -> Self {
        self.answers.push((status, None));
        self
    }

    /// Refusals with the common error body.
    pub(crate) fn fails(mut self, statuses: &[u16]) -> Self {
        for status in statuses {
            if !self.answers.iter().any(|(known, _)| known == status) {
                self = self.json::<ErrorBody>(*status);
            }
        }
        self
    }

    fn content<T: ToSchema>(&mut self) -> Content {
        ContentBuilder::new().schema(Some(self.reference::<T>())).build()
    }

    fn list_content<T: ToSchema>(&mut self) -> Content {
        let items = self.reference::<T>();
        ContentBuilder::new().schema(Some(ArrayBuilder::new().items(items))).build()
    }

    fn reference<T: ToSchema>(&mut self) -> RefOr<Schema> {
        let name = T::name().into_owned();
        T::schemas(&mut self.schemas);
        self.schemas.push((name.clone(), T::schema()));
        RefOr::Ref(Ref::from_schema_name(name))
    }
}

struct Entry {
    path: &'static str,
    method: HttpMethod,
    op: Op,
}

/// All endpoints, in the order in which they are matched.
#[derive(Default)]
pub(crate) struct Table {
    resources: Vec<(&'static str, Vec<Route>)>,
    entries: Vec<Entry>,
}

/// `table.get(path, op, handler)` and so on.
macro_rules! methods {
    ($($name:ident $method:ident;)*) => { $(
        pub(crate) fn $name<F, A>(&mut self, path: &'static str, op: Op, handler: F)
        where
            F: Handler<A>,
            A: FromRequest + 'static,
            F::Output: Responder + 'static,
        {
            self.add(path, HttpMethod::$method, web::$name().to(handler), op);
        }
    )* };
}

impl Table {
    methods! {
        get Get;
        post Post;
        put Put;
        delete Delete;
    }

    fn add(&mut self, path: &'static str, method: HttpMethod, route: Route, op: Op) {
        match self.resources.iter_mut().find(|(known, _)| *known == path) {
            Some((_, routes)) => routes.push(route),
            None => self.resources.push((path, vec![route])),
        }
        self.entries.push(Entry { path, method, op });
    }

    /// One resource per path: another method is 405, not 404 (LINK-SPEC 4.1).
    pub(crate) fn install(self, config: &mut web::ServiceConfig) {
        for (path, routes) in self.resources {
            let resource = routes.into_iter().fold(Resource::new(path), Resource::route);
            config.service(resource.default_service(web::to(wrong_method)));
        }
    }

    /// The document, for base path `/api/v5`.
    pub(crate) fn document(self) -> OpenApi {
        let mut paths = PathsBuilder::new();
        let mut schemas = BTreeMap::new();
        for entry in self.entries {
            schemas.extend(entry.op.schemas.iter().cloned());
            let operation = operation(entry.path, &entry.method, entry.op);
            paths = paths.path(entry.path, PathItem::new(entry.method, operation));
        }
        let components = ComponentsBuilder::new()
            .schemas_from_iter(schemas)
            .security_scheme("basic", SecurityScheme::Http(Http::new(HttpAuthScheme::Basic)))
            .security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        OpenApiBuilder::new()
            .info(
                InfoBuilder::new()
                    .title("SpanMQ")
                    .description(Some("Management API of a SpanMQ cluster, through any node."))
                    .version(env!("CARGO_PKG_VERSION")),
            )
            .servers(Some([ServerBuilder::new().url("/api/v5").build()]))
            .paths(paths)
            .components(Some(components.build()))
            .build()
    }
}

fn operation(path: &str, method: &HttpMethod, op: Op) -> OperationBuilder {
    let open = op.open;
    let op = if open { op } else { op.fails(&[401, 403]) };
    let verb = match method {
        HttpMethod::Get => "get",
        HttpMethod::Post => "post",
        HttpMethod::Put => "put",
        _ => "delete",
    };
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let id = std::iter::once(verb).chain(words).collect::<Vec<_>>().join("_");
    let mut builder = OperationBuilder::new()
        .tag(op.tag)
        .operation_id(Some(id))
        .summary(Some(op.summary))
        .parameters(Some(path_parameters(path)))
        .parameters(Some(op.params));
    if let Some(content) = op.body {
        let body = RequestBodyBuilder::new()
            .required(Some(Required::True))
            .content("application/json", content);
        builder = builder.request_body(Some(body.build()));
    }
    // A status may have several content types.
    let mut answers = BTreeMap::<u16, Vec<(&str, Content)>>::new();
    for (status, content) in op.answers {
        answers.entry(status).or_default().extend(content);
    }
    for (status, contents) in answers {
        builder = builder.response(status.to_string(), response(status, contents));
    }
    match open {
        true => builder.security(SecurityRequirement::default()),
        false => builder
            .security(SecurityRequirement::new("basic", [""; 0]))
            .security(SecurityRequirement::new("bearer", [""; 0])),
    }
}

fn path_parameters(path: &str) -> Vec<Parameter> {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split(['}', ':']).next());
    let parameter = |name: &str| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(Schema::from(ObjectBuilder::new().schema_type(Type::String).build())))
            .build()
    };
    names.map(parameter).collect()
}

fn response(status: u16, contents: Vec<(&'static str, Content)>) -> Response {
    let description = match status {
        200 => "Done.",
        201 => "Created.",
        202 => "Taken, but nobody wants it.",
        204 => "Done; there is nothing to say.",
        207 => "Some were not taken.",
        400 => "The request cannot be carried out as it is.",
        401 => "Who asks is not known.",
        403 => "The role does not allow it.",
        404 => "It does not exist.",
        409 => "It contradicts what is there.",
        412 => "It was changed meanwhile; read it again.",
        413 => "The body is larger than `dashboard.max_body_size` allows.",
        415 => "The body is not JSON.",
        429 => "Too many failures; wait as Retry-After says.",
        503 => "The cluster, or the node in question, cannot answer now; Retry-After says when.",
        _ => "A fault of the node.",
    };
    let builder = ResponseBuilder::new().description(description);
    let add = |builder: ResponseBuilder, (kind, content)| builder.content(kind, content);
    contents.into_iter().fold(builder, add).build()
}

async fn wrong_method(request: HttpRequest) -> ApiResult<String> {
    let message = format!("{} does not take {}", request.path(), request.method());
    Err(ApiError::new(405, "METHOD_NOT_ALLOWED", message))
}

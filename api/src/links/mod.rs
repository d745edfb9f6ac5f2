//! `/cluster/links`: the EMQX dialect, and the document dialect of the user guide (LINK-SPEC 4.2,
//! 4.3). Both do the same; they differ in status words and in metrics.

mod events;
mod explain;
mod read;
mod routes;
mod test;
mod write;

use spanmq_api_model::{
    ExplainQuery, Explanation, LinkBody, LinkEvent, LinkMetricsView, LinkOptions, LinkRoutes,
    LinkRoutesQuery, LinkView, ProbeView,
};
use spanmq_link_protocol::status::Dialect;

use crate::server::Shared;
use crate::table::{Op, Table, op};

const LIST: &str = "/cluster/links";
/// Always the EMQX dialect, and matched before the document dialect.
const EMQX: &str = "/cluster/links/link/{name}";
const DOCUMENT: &str = "/cluster/links/{name}";

fn link(summary: &'static str) -> Op {
    op("cluster links", summary).query::<LinkOptions>()
}

pub(crate) fn endpoints(table: &mut Table) {
    table.get(LIST, link("Lists the links with their state.").list::<LinkView>(200), read::list);
    table.post(
        LIST,
        link("Creates a link.").body::<LinkBody>().json::<LinkView>(201).fails(&[503]),
        write::create,
    );
    table.put(
        LIST,
        link("Creates or changes the link of that name; an array replaces the whole list.")
            .body::<LinkBody>()
            .json::<LinkView>(200)
            .json::<LinkView>(201)
            .fails(&[412, 503]),
        write::upsert_or_replace,
    );
    ours(table);
    emqx(table);
    document(table);
}

/// LINK-SPEC 4.4. A link called `test` or `explain` is reached through the EMQX dialect.
fn ours(table: &mut Table) {
    table.get(
        "/cluster/links/explain",
        op("cluster links", "Says where a message of a topic would go, link by link, and why.")
            .query::<ExplainQuery>()
            .json::<Explanation>(200)
            .fails(&[400]),
        explain::explain,
    );
    table.post(
        "/cluster/links/test",
        op("cluster links", "Tries a configuration step by step; stores nothing.")
            .body::<LinkBody>()
            .json::<ProbeView>(200),
        test::test,
    );
    table.get(
        "/cluster/links/link/{name}/routes",
        op("cluster links", "Lists routes learnt from the remote and ours that it is told.")
            .query::<LinkRoutesQuery>()
            .json::<LinkRoutes>(200)
            .fails(&[400, 404]),
        routes::routes,
    );
    table.get(
        "/cluster/links/link/{name}/events",
        op("cluster links", "Lists the last state changes of a link on this node.")
            .list::<LinkEvent>(200)
            .fails(&[404]),
        events::events,
    );
    let paused = |summary| link(summary).json::<LinkView>(200).fails(&[404, 503]);
    table.post(
        "/cluster/links/link/{name}/pause",
        paused("Keeps messages in the buffer from now on."),
        write::pause,
    );
    table.post(
        "/cluster/links/link/{name}/resume",
        paused("Sends the buffer and goes on."),
        write::resume,
    );
}

fn emqx(table: &mut Table) {
    table.get(EMQX, one_op(), read::one_emqx);
    table.put(EMQX, change_op(), write::update_emqx);
    table.delete(EMQX, delete_op(), write::delete);
    let metrics = "/cluster/links/link/{name}/metrics";
    table.get(metrics, metrics_op(), read::metrics_emqx);
    table.put("/cluster/links/link/{name}/metrics/reset", reset_op(), write::reset_metrics);
}

fn document(table: &mut Table) {
    table.get(DOCUMENT, one_op(), read::one_document);
    table.put(DOCUMENT, change_op(), write::update_document);
    table.delete(DOCUMENT, delete_op(), write::delete);
    table.get("/cluster/links/{name}/metrics", metrics_op(), read::metrics_document);
    table.put("/cluster/links/{name}/metrics/reset", reset_op(), write::reset_metrics);
}

fn one_op() -> Op {
    link("Shows a link with its state.").json::<LinkView>(200).fails(&[404])
}

fn change_op() -> Op {
    link("Replaces the configuration of a link; If-Match takes the ETag of an earlier answer.")
        .body::<LinkBody>()
        .json::<LinkView>(200)
        .fails(&[404, 412, 503])
}

fn delete_op() -> Op {
    op("cluster links", "Deletes a link.").empty(204).fails(&[400, 404, 412, 503])
}

fn metrics_op() -> Op {
    op("cluster links", "Shows the metrics of a link.").json::<LinkMetricsView>(200).fails(&[404])
}

fn reset_op() -> Op {
    op("cluster links", "Sets the counters of a link to zero, on all running nodes.")
        .empty(204)
        .fails(&[404, 500])
}

/// Words of a shared or document path (R-10, D-3).
fn dialect(options: &LinkOptions, shared: &Shared) -> Dialect {
    let emqx = match options.style.as_deref() {
        Some(style) => style == "emqx",
        None => shared.config.links_style_emqx,
    };
    if emqx { Dialect::Emqx } else { Dialect::Guide }
}

fn is_local(options: &LinkOptions) -> bool {
    options.consistency.as_deref() == Some("local")
}

//! `/alarms`, `/audit`, `/features`.

use actix_web::{HttpResponse, web};
use spanmq_api_model::{AlarmView, AlarmsQuery, AuditEntry, AuditQuery, Features};
use spanmq_state::command::AlarmCommand;
use spanmq_state::{Alarm, Command, State};

use crate::clients::node_name;
use crate::error::{ApiError, ApiResult};
use crate::question::{Question, gather, rfc3339_ms};
use crate::server::{Shared, now_ms};
use crate::table::{Table, op};

const AUDIT_MAX: usize = 1_000;

pub(crate) fn endpoints(table: &mut Table) {
    table.get(
        "/alarms",
        op("monitoring", "Lists alarms that stand, or with activated=false those that ended.")
            .query::<AlarmsQuery>()
            .list::<AlarmView>(200)
            .fails(&[400]),
        alarms,
    );
    table.delete(
        "/alarms",
        op("monitoring", "Forgets the alarms that ended.").empty(204).fails(&[503]),
        clear_alarms,
    );
    table.get(
        "/audit",
        op("monitoring", "Lists the newest changes that were made or tried, of all nodes.")
            .query::<AuditQuery>()
            .list::<AuditEntry>(200)
            .fails(&[400]),
        audit,
    );
    table.get(
        "/features",
        op("monitoring", "Names what this build can do.").json::<Features>(200),
        features,
    );
}

async fn alarms(shared: web::Data<Shared>, query: web::Query<AlarmsQuery>) -> HttpResponse {
    let mut rows = Vec::new();
    shared.node.read(&mut |state| {
        rows = match query.activated.unwrap_or(true) {
            true => standing_alarms(state),
            false => state.alarms().history().map(|alarm| view(state, alarm)).collect(),
        };
    });
    // Those that ended are kept oldest first.
    if query.activated == Some(false) {
        rows.reverse();
    }
    HttpResponse::Ok().json(rows)
}

/// The alarms that stand now.
pub(crate) fn standing_alarms(state: &State) -> Vec<AlarmView> {
    state.alarms().standing().map(|alarm| view(state, alarm)).collect()
}

fn view(state: &State, alarm: &Alarm) -> AlarmView {
    let end = alarm.deactivated_ms.unwrap_or_else(now_ms);
    AlarmView {
        node: if alarm.node == 0 { String::new() } else { node_name(state, alarm.node) },
        name: alarm.name.to_string(),
        message: alarm.message.to_string(),
        details: serde_json::from_str(&alarm.details).unwrap_or_default(),
        duration: end.saturating_sub(alarm.activated_ms),
        activate_at: rfc3339_ms(alarm.activated_ms),
        deactivate_at: alarm.deactivated_ms.map_or_else(|| "infinity".to_owned(), rfc3339_ms),
    }
}

async fn clear_alarms(shared: web::Data<Shared>) -> ApiResult<HttpResponse> {
    shared.node.propose(vec![Command::Alarm(AlarmCommand::ClearHistory)]).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Nodes that do not answer are left out; the header names them.
async fn audit(
    shared: web::Data<Shared>,
    query: web::Query<AuditQuery>,
) -> ApiResult<HttpResponse> {
    let limit = query.limit.unwrap_or(100);
    if !(1..=AUDIT_MAX).contains(&limit) {
        return Err(ApiError::bad_request(format!("limit: use 1 to {AUDIT_MAX}")));
    }
    let question = Question::Audit { limit, source: query.source.clone() };
    let node = query.node.as_deref();
    let (rows, silent) = gather::<Vec<AuditEntry>>(&*shared.node, &question, node).await;
    let mut rows: Vec<AuditEntry> = rows.into_iter().flat_map(|(_, rows)| rows).collect();
    rows.sort_by(|a, b| b.created_at.cmp(&a.created_at));
    rows.truncate(limit);
    let mut response = HttpResponse::Ok();
    if !silent.is_empty() {
        response.insert_header(("x-spanmq-unreachable", silent.join(",")));
    }
    Ok(response.json(rows))
}

async fn features() -> HttpResponse {
    let features = ["cluster_link"].map(str::to_owned).to_vec();
    HttpResponse::Ok().json(Features { features })
}

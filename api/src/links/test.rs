//! `POST /cluster/links/test`: tries a configuration without storing it.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use serde_json::{Value, json};
use spanmq_api_model::{LinkWarning, ProbeStep, ProbeView};
use spanmq_link_protocol::config::{self, LinkConfig};
use spanmq_link_protocol::reason::AdviceContext;
use spanmq_linking::{PeerLimits, ProbeReport};
use tokio::sync::Semaphore;

use super::write;
use crate::body::Body;
use crate::error::{ApiError, ApiResult};
use crate::server::Shared;

/// Tests under way on this node; each may take ten seconds.
static TURNS: Semaphore = Semaphore::const_new(4);

pub(super) async fn test(shared: web::Data<Shared>, body: Body<Value>) -> ApiResult<HttpResponse> {
    let _turn = TURNS.try_acquire().map_err(|_| {
        let message = "Four tests are under way on this node; try again in some seconds";
        ApiError::new(429, "TOO_MANY_REQUESTS", message).retry_after(5)
    })?;
    let name = body.0.get("name").and_then(Value::as_str).unwrap_or_default();
    // `******` stands for the secret of the stored link of that name.
    let body = write::with_stored_secrets(&shared, name, &body.0)?;
    let link = Arc::new(write::parse_new(&shared, &body)?);
    let report = shared.node.linking().probe(link.clone()).await;
    Ok(HttpResponse::Ok().json(view(&shared, &link, report)))
}

fn view(shared: &Shared, link: &LinkConfig, report: ProbeReport) -> ProbeView {
    let step = |step: &str, took_ms, ok| ProbeStep { step: step.to_owned(), took_ms, ok };
    let mut steps: Vec<ProbeStep> =
        report.done.iter().map(|(stage, took)| step(stage.as_str(), *took, true)).collect();
    if let Some((stage, took, _)) = &report.failed {
        steps.push(step(stage.as_str(), *took, false));
    }
    let cluster = shared.node.cluster_name();
    let context = AdviceContext {
        local_cluster: &cluster,
        remote_cluster: &link.name,
        clientid: &link.clientid,
        server: link.server.as_text(),
        holder: None,
        holder_prefix: None,
    };
    let reason = report.failed.map(|(_, _, reason)| reason);
    let text = |reason: &spanmq_link_protocol::reason::Reason| {
        format!("{reason} {}", reason.advice(&context))
    };
    ProbeView {
        ok: reason.is_none(),
        reached: steps.last().map(|last| last.step.clone()).unwrap_or_default(),
        steps,
        connack: report.limits.as_ref().map(limits),
        message: reason.as_ref().map(text),
        reason: reason.map(|reason| reason.word.as_str().to_owned()),
        warnings: config::warnings(link)
            .into_iter()
            .map(|warning| LinkWarning {
                code: warning.code.to_owned(),
                message: warning.message,
                advice: None,
            })
            .collect(),
    }
}

fn limits(limits: &PeerLimits) -> Value {
    json!({
        "receive_maximum": limits.receive_maximum,
        "maximum_packet_size": limits.maximum_packet_size,
        "server_keep_alive": limits.server_keep_alive,
        "maximum_qos": limits.maximum_qos,
        "retain_available": limits.retain_available,
    })
}

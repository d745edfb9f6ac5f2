//! The answering end of a request connection.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    connection::{self, CloseReason, FrameIo, FrameSink, OutFrame, Outbox},
    counters::{Counters, count},
    error::{FrameError, RequestError},
    frame::{Frame, FrameKind},
    handler::DynRequestHandler,
    hello::Purpose,
    identity::PeerId,
    queue::{self, QueueTx},
    request::{RequestFrame, answer_frame},
    tuning::PortTuning,
};

/// Answers requests until the connection ends.
pub(crate) async fn serve_requests(
    io: FrameIo,
    peer: PeerId,
    handler: Arc<dyn DynRequestHandler>,
    tuning: &PortTuning,
    counters: &Arc<Counters>,
) -> CloseReason {
    let (first, first_rx) = queue::bounded(tuning.queue_frames_max, tuning.queue_bytes_max);
    let (rest, rest_rx) = queue::bounded(tuning.queue_frames_max, tuning.queue_bytes_max);
    let in_work_max = match peer.purpose {
        Purpose::Raft => tuning.raft_requests_max,
        _ => tuning.query_requests_max,
    };
    let answers = Answers {
        first,
        rest,
        small_bytes_max: tuning.small_frame_bytes_max as usize,
        body_bytes_max: connection::body_bytes_max(tuning),
        counters: Arc::clone(counters),
    };
    let mut sink = RequestSink {
        peer,
        handler,
        in_work: Arc::new(Semaphore::new(in_work_max as usize)),
        answers,
    };
    let outbox = Outbox { first: first_rx, rest: Some(rest_rx) };
    connection::run(io, outbox, tuning, counters, &mut sink).await
}

struct RequestSink {
    peer: PeerId,
    handler: Arc<dyn DynRequestHandler>,
    in_work: Arc<Semaphore>,
    answers: Answers,
}

impl FrameSink for RequestSink {
    async fn accept(&mut self, frame: Frame) -> Result<(), CloseReason> {
        if frame.kind != FrameKind::Request {
            return Err(FrameError::Unexpected { found: frame.kind.name() }.into());
        }
        let request = RequestFrame::parse(frame.body)?;
        match Arc::clone(&self.in_work).try_acquire_owned() {
            Ok(permit) => self.start(request, permit),
            Err(_) => {
                count(&self.answers.counters.overloaded);
                self.answers.send(request.id, Err(RequestError::Overloaded)).await;
            }
        }
        Ok(())
    }
}

impl RequestSink {
    /// The handler runs as its own task and goes on when the connection ends: what it began may
    /// have to be finished. The caller's deadline bounds it.
    fn start(&self, request: RequestFrame, permit: OwnedSemaphorePermit) {
        let RequestFrame { id, deadline, kind, body } = request;
        let answer = Arc::clone(&self.handler).answer(self.peer.clone(), kind, body);
        let mut reply = Reply { id, answers: self.answers.clone(), sent: false };
        tokio::spawn(async move {
            let _permit = permit;
            let result = tokio::time::timeout(deadline, answer).await;
            reply.sent = true;
            reply.answers.send(id, result.unwrap_or(Err(RequestError::Deadline))).await;
        });
    }
}

#[derive(Clone)]
struct Answers {
    first: QueueTx<OutFrame>,
    rest: QueueTx<OutFrame>,
    small_bytes_max: usize,
    body_bytes_max: usize,
    counters: Arc<Counters>,
}

impl Answers {
    async fn send(&self, id: u64, answer: Result<Bytes, RequestError>) {
        let (queue, frame, cost) = self.route(id, answer);
        // When the connection is gone, so is who asked.
        drop(queue.push(frame, cost).await);
    }

    fn route(
        &self,
        id: u64,
        answer: Result<Bytes, RequestError>,
    ) -> (&QueueTx<OutFrame>, OutFrame, usize) {
        let answer = answer.and_then(|body| match body.len() {
            bytes if bytes > self.body_bytes_max => {
                Err(RequestError::TooLarge { bytes, limit: self.body_bytes_max })
            }
            _ => Ok(body),
        });
        let frame = answer_frame(id, answer);
        let cost = frame.wire_len();
        (if cost <= self.small_bytes_max { &self.first } else { &self.rest }, frame, cost)
    }
}

/// Answers in place of a handler that panicked.
struct Reply {
    id: u64,
    answers: Answers,
    sent: bool,
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.sent || !std::thread::panicking() {
            return;
        }
        count(&self.answers.counters.handler_panics);
        tracing::error!("a handler of the cluster port panicked");
        let (queue, frame, cost) = self.answers.route(self.id, Err(RequestError::HandlerPanicked));
        if queue.try_push(frame, cost).is_err() {
            count(&self.answers.counters.queue_full);
        }
    }
}

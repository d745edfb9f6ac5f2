//! What is reported about a link: states of nodes rolled up to the cluster, and metrics
//!

mod metrics;
mod rollup;
#[cfg(test)]
mod tests;

pub use metrics::{
    BufferMetrics, ForwardingMetrics, InboundMetrics, LatencyMetrics, LinkMetrics, MetricsReport,
    NodeMetrics, ReplicationMetrics, RouterMetrics,
};
pub use rollup::{
    Dialect, LinkStatus, NodeLinkState, NodeReport, NodeStatus, PoolState, ReasonReport, roll_up,
};

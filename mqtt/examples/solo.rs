//! The MQTT shell alone on one port, over a state without Raft: for measurements and for trying
//! things out. Nothing survives. Prints its counters every five seconds.
//!
//! `cargo run -p spanmq-mqtt --example solo -- 1883 [workers]`
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, unreachable_pub)]

#[path = "../tests/support/mod.rs"]
mod support;

fn main() {
    let mut args = std::env::args().skip(1);
    let port: u16 = args.next().map_or(1883, |port| port.parse().expect("a port"));
    let workers = args.next().map_or(2, |workers| workers.parse().expect("a number"));
    let broker = support::TestBroker::with(|config| {
        config.listeners[0].bind.set_port(port);
        config.workers = workers;
    });
    println!("listening on {}", broker.address());
    loop {
        std::thread::sleep(std::time::Duration::from_secs(5));
        let mut line = String::new();
        broker.handle.metrics().visit(|name, value| {
            if value != 0 {
                line.push_str(&format!("{name}={value} "));
            }
        });
        println!("{line}");
    }
}

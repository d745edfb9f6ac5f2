//! The MQTT session as a machine: inbox, in-flight window, QoS 2, expiry, retained rules. Pure.
